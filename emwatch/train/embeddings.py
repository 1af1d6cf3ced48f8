"""Embeddings of many pictures, computed once: kept by the content of what the network saw and by the backbone."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from emwatch.classify.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from emwatch.classify.backbone import Engine


class Embeddings:
    """
    Embeds pictures, remembering what it has seen in the user's cache directory (``EMWATCH_EMBEDDINGS``: another).

    The cache is a convenience: one that cannot be read is made again.
    """

    def __init__(self, engine: Engine, backbone_sha256: str, say: Callable[[str], None]) -> None:
        self._engine = engine
        self._say = say
        directory = Path(
            os.environ.get("EMWATCH_EMBEDDINGS") or Path(platformdirs.user_cache_dir("emwatch")) / "embeddings"
        )
        self._file = directory / f"{backbone_sha256[:16]}.npz"
        self._known = _read(self._file, engine.features)

    def of(self, what: str, pictures: Sequence[Callable[[], npt.NDArray[np.uint8]]]) -> npt.NDArray[np.float32]:
        """
        Embed pictures (height, width) that are made when their turn comes, so that few are in memory.

        Gives (n, features); ``what`` names them in the progress.
        """
        rows = np.zeros((len(pictures), self._engine.features), dtype=np.float32)
        new = 0
        for number, picture in enumerate(pictures):
            if number % 200 == 0:
                self._say(f"embedding {what}: {number} of {len(pictures)}")
            views = prepare(picture())
            key = hashlib.sha256(views.tobytes()).hexdigest()
            if key not in self._known:
                self._known[key] = self._engine.embed(views).mean(axis=0)
                new += 1
            rows[number] = self._known[key]
        if new:
            self._keep()
        return rows

    def _keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        made = self._file.with_suffix(f".{os.getpid()}.tmp")
        with made.open("wb") as file:
            np.savez(file, keys=np.array(list(self._known)), rows=np.array(list(self._known.values())))
        made.replace(self._file)


def _read(file: Path, features: int) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            keys, rows = arrays["keys"], arrays["rows"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
    if rows.shape != (len(keys), features) or rows.dtype != np.float32:
        return {}
    return dict(zip(keys.tolist(), rows, strict=True))
