"""Ask: what is on this picture? Decoded in the sandbox, classified with the bundle in use, and stored nowhere."""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emwatch.classify.bundles import store
from emwatch.classify.preprocess import prepared_by
from emwatch.classify.scale_doubt import field_width_um
from emwatch.errors import FrameError
from emwatch.frame import path_to_text
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.web.documents import metadata_document, scale_bar_document, scores_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.datastructures import FileStorage

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config

_MINUTE_S: Final = 60.0


class AskedTooOftenError(RuntimeError):
    """More pictures were asked about within a minute than is allowed."""


class Ask:
    """
    Answers about one picture at a time, as the daemon would.

    The model is loaded at the first question, the microscope's PC permitting, and again when another one is in use.
    """

    def __init__(self, config: Config, per_minute: int, now: Callable[[], float]) -> None:
        self._config = config
        self._per_minute = per_minute
        self._now = now
        self._asked: deque[float] = deque()
        self._turn = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._loaded: tuple[store.InUse, Classifier] | None = None

    def about(self, name: str, content: FileStorage) -> dict[str, Any]:
        """
        Return category, ten scores and metadata of a picture.

        Raises `AskedTooOftenError`, or `errors.FrameError` if it is no picture, too large or damaged.
        """
        with self._turn:
            self._count()
            with tempfile.TemporaryDirectory(prefix="emwatch-ask-") as folder:
                # The name decides nothing but the suffix: what a browser sends may hold slashes and control characters.
                path = Path(folder) / f"picture{Path(name).suffix[:8] if Path(name).suffix[1:].isalnum() else ''}"
                content.save(path)
                try:
                    return self._answer(path) | {"name": name}
                except FrameError as error:
                    # Who asked knows the file by its own name.
                    error.args = (str(error).replace(path_to_text(path), name),)
                    raise

    def _count(self) -> None:
        now = self._now()
        while self._asked and now - self._asked[0] > _MINUTE_S:
            self._asked.popleft()
        if len(self._asked) >= self._per_minute:
            raise AskedTooOftenError(f"{self._per_minute} pictures within a minute are the limit")
        self._asked.append(now)

    def _answer(self, path: Path) -> dict[str, Any]:
        config = self._config
        if self._sandbox is None:
            self._sandbox = Sandbox(prepared_by(config.model.views), reading_limits(config))
            self._sandbox.start()
        in_use = store.in_use(config)
        if self._loaded is None or self._loaded[0] != in_use:
            self._loaded = in_use, in_use.load(config.model.engine, config.model.threads)
        reading = self._sandbox.read(path)
        width_um = field_width_um(reading.metadata, reading.width) if config.model.doubt_by_scale else None
        prediction = self._loaded[1].classify(reading.views, reading.coloured_share, width_um)
        reading = replace(reading, views=reading.views[:0])
        return {
            "category": prediction.category,
            "probability": prediction.probability,
            "uncertain": prediction.uncertain,
            "margin": prediction.margin,
            "scores": scores_document(prediction.scores),
            "bundle_sha256": prediction.bundle_sha256,
            "image": {
                "format": reading.image_format,
                "width": reading.width,
                "height": reading.height,
                "pixel_type": reading.pixel_type,
                "pages": reading.pages,
            },
            "vendor": reading.metadata.vendor,
            "metadata": metadata_document(reading.metadata),
            "flags": list(reading.metadata.flags),
            "scale_bar": scale_bar_document(reading.width, reading.metadata.number("pixel_size_nm")),
        }
