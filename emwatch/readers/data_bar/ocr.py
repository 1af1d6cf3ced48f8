"""
The text recogniser: RapidOCR (Apache-2.0) with its PP-OCRv6 models (Apache-2.0), which are inside the package.

The only importer of the ``ocr`` extra. Nothing is downloaded: the models' paths are given, and a missing one is an error.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.errors import ConfigError
from emwatch.readers.data_bar.scale import TextLine

if TYPE_CHECKING:
    import numpy.typing as npt

_DETECTION: Final = "PP-OCRv6_det_small.onnx"
_RECOGNITION: Final = "PP-OCRv6_rec_small.onnx"
#: The detector sees the bar at most so wide: letters of 10 px in a frame of 2048 are still found.
_WIDEST_PX: Final = 1280
#: Letters of a small frame (XL30: 712 columns) are read better when enlarged.
_NARROWEST_PX: Final = 1000


def is_installed() -> bool:
    """Return whether the ``ocr`` extra is there, without importing it."""
    return all(importlib.util.find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def require() -> None:
    """Raise `errors.ConfigError` if the ``ocr`` extra is not installed, without importing it."""
    if not is_installed():
        raise ConfigError(
            "reading data bars needs the ocr extra, which is not installed: pip install 'emwatch[ocr]', "
            "or leave the data bar unread"
        )


class RapidRecogniser:
    """
    Reads printed text; loaded once, about 2 s, then one thread.

    Raises `errors.ConfigError` if the extra or its models are not installed.
    """

    def __init__(self) -> None:
        require()
        import rapidocr

        models = Path(rapidocr.__file__).parent / "models"
        for name in (_DETECTION, _RECOGNITION):
            if not (models / name).is_file():
                raise ConfigError(
                    f"{models / name}: missing, expected within rapidocr 3.10 or later; install 'emwatch[ocr]' again"
                )
        self._engine: Any = rapidocr.RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "critical",
                "Global.min_side_len": 1,
                "Global.max_side_len": 1_000_000,
                "Det.model_path": str(models / _DETECTION),
                "Rec.model_path": str(models / _RECOGNITION),
                "Det.limit_type": "max",
                "Det.limit_side_len": _WIDEST_PX,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def read(self, picture: npt.NDArray[np.uint8]) -> list[TextLine]:
        """Return the lines of text in a picture of shape (height, width, 3), positions in its pixels."""
        times = 2 if picture.shape[1] < _NARROWEST_PX else 1
        enlarged = np.ascontiguousarray(picture.repeat(times, axis=0).repeat(times, axis=1))
        result = self._engine(enlarged, use_cls=False)
        if result.txts is None or result.boxes is None:
            return []
        lines = []
        for text, score, box in zip(result.txts, result.scores, result.boxes, strict=True):
            (left, top), (right, bottom) = np.min(box, axis=0) / times, np.max(box, axis=0) / times
            lines.append(TextLine(str(text), float(score), float(left), float(top), float(right), float(bottom)))
        return lines
