"""A text recogniser to put in place of the installed one, if any: it does to its process what a file says, or reads that."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: The environment variable that names the file: HANG, KILL, EAT (memory), or the text that every bar shows.
DEED = "BAR_DEED"

#: It cannot write, as a child of the sandbox, only make the empty file ``.begun`` that tells when it is at it.
_RAPIDOCR = f"""
    import os, pathlib, signal, threading, types

    class RapidOCR:
        def __init__(self, params):
            self.deed = pathlib.Path(os.environ["{DEED}"])

        def __call__(self, picture, use_cls):
            deed = self.deed.read_text()
            self.deed.with_suffix(".begun").touch()
            if deed == "HANG":
                threading.Event().wait()
            if deed == "KILL":
                os.kill(os.getpid(), signal.SIGKILL)
            if deed == "EAT":
                bytearray(1 << 40)
            box = [[20, 20], [220, 20], [220, 40], [20, 40]]
            return types.SimpleNamespace(txts=[deed], scores=[0.95], boxes=[box])
"""


def write_modules(folder: Path) -> Path:
    """Write the packages that the `ocr` extra brings; returns the folder to put on the module path."""
    package = folder / "modules" / "rapidocr"
    (package / "models").mkdir(parents=True)
    for name in ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"):
        (package / "models" / name).touch()
    (package / "__init__.py").write_text(textwrap.dedent(_RAPIDOCR))
    (package.parent / "onnxruntime.py").touch()
    return package.parent
