"""Embeddings of many pictures, computed once: kept by the content they were made of, how, and by the backbone."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import PIL
import platformdirs

from emwatch.classify.preprocess import PREPROCESSING_ID, prepare
from emwatch.errors import DatasetError
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    from emwatch.classify.backbone import Engine

    Pixels: TypeAlias = npt.NDArray[np.uint8]
    Counting: TypeAlias = Callable[[str, int, int], None]

#: Frames made ready ahead of the network, for each thread: enough to never wait, too few to fill the memory.
_AHEAD = 4

#: So many pictures that cannot be made are told one by one.
_TOLD = 20


def uncounted(what: str, done: int, of: int) -> None:
    """Ignore progress: the default if no listener is given."""


@dataclass(frozen=True, slots=True)
class InputPicture:
    """
    What is to be embedded: ``pixels`` makes it, when its turn comes, out of ``content`` and nothing else.

    ``content`` are the bytes of a file, or the name and seed of a drawing; ``made_by`` names what is done with them, by
    the modules or packages ``code``. A change of any of these, or of the preprocessing, is another picture.
    """

    content: Callable[[], bytes]
    pixels: Callable[[], Pixels]
    made_by: str
    code: tuple[str, ...] = ()

    def key(self) -> str:
        """Identify it without making it."""
        digest = hashlib.sha256(self.content())
        digest.update(f"{self.made_by}, {PREPROCESSING_ID}, ".encode())
        digest.update(_code_sha256(self.code).encode())
        return digest.hexdigest()


class Embeddings:
    """
    Embeds pictures, remembering what it has seen in the user's cache directory (``EMWATCH_EMBEDDINGS``: another).

    The cache is a convenience: one that cannot be read is made again.
    """

    def __init__(
        self,
        engine: Engine,
        backbone_sha256: str,
        say: Callable[[str], None],
        threads: int = 2,
        counting: Counting = uncounted,
    ) -> None:
        """Read what is kept. ``say`` hears once how many of what are embedded, ``counting`` after each."""
        self._engine = engine
        self._say = say
        self._threads = threads
        self._counting = counting
        directory = Path(
            os.environ.get("EMWATCH_EMBEDDINGS") or Path(platformdirs.user_cache_dir("emwatch")) / "embeddings"
        )
        self._file = directory / f"{backbone_sha256[:16]}.npz"
        self._known: dict[str, npt.NDArray[np.float16]] = _read(self._file, engine.features)

    def of(self, what: str, pictures: Sequence[InputPicture]) -> npt.NDArray[np.float32]:
        """
        Embed pictures, those to come being read or drawn by threads while the network works, few in memory at once.

        Gives (n, features); ``what`` names them in the progress. Raises `DatasetError` that names all that cannot be made;
        what was embedded until then, or until Ctrl-C, is kept nevertheless.
        """
        known_before = len(self._known)
        try:
            keys = self._embedded(what, pictures)
        finally:
            if len(self._known) > known_before:
                self._keep()
        rows = [self._known[key] for key in keys]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self._engine.features)

    def keep(self, pictures: Sequence[InputPicture], rows: npt.NDArray[np.float32]) -> None:
        """Remember the embeddings (n, features) of pictures that were embedded elsewhere."""
        keys = (picture.key() for picture in pictures)
        self._known.update(zip(keys, rows.astype(np.float16), strict=True))
        self._keep()

    def _embedded(self, what: str, pictures: Sequence[InputPicture]) -> list[str]:
        """Embed what is not known yet; returns the keys of all."""
        wrong = []
        with ThreadPoolExecutor(self._threads) as pool:
            keys = list(pool.map(InputPicture.key, pictures))
            unknown = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._known}
            if unknown:
                self._say(f"embedding {what}: {len(unknown):,}")
            for number, (key, made) in enumerate(self._made(pool, unknown), start=1):
                self._counting(f"embedding {what}", number, len(unknown))
                try:
                    views = made.result()
                except DatasetError as error:
                    wrong.append(str(error))
                    continue
                # In half precision: a kept embedding and one made now must be the same numbers.
                self._known[key] = self._engine.embed(views).mean(axis=0).astype(np.float16)
        if wrong:
            left = [f"and {len(wrong) - _TOLD} more"] if len(wrong) > _TOLD else []
            raise DatasetError("\n".join([*wrong[:_TOLD], *left]))
        return keys

    def _made(
        self, pool: ThreadPoolExecutor, unknown: dict[str, InputPicture]
    ) -> Iterator[tuple[str, Future[npt.NDArray[np.float32]]]]:
        """Yield the views of pictures in order; the next few are prepared meanwhile."""
        waiting = iter(unknown.items())
        begun: list[tuple[str, Future[npt.NDArray[np.float32]]]] = []
        while True:
            while len(begun) < _AHEAD * self._threads and (following := next(waiting, None)) is not None:
                key, picture = following
                begun.append((key, pool.submit(_view, picture)))
            if not begun:
                return
            yield begun.pop(0)

    def _keep(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self._file) as made, made.open("wb") as file:
            np.savez(file, keys=np.array(list(self._known)), rows=np.array(list(self._known.values())))


def _view(picture: InputPicture) -> npt.NDArray[np.float32]:
    return prepare(picture.pixels())


@cache
def _code_sha256(modules: tuple[str, ...]) -> str:
    """Hash the source of modules, and of whole packages, with the versions of what they draw and resize with."""
    digest = hashlib.sha256(f"numpy {np.__version__}, Pillow {PIL.__version__}".encode())
    for name in modules:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # pragma: no cover - a name written wrong here
            raise ValueError(f"no module {name}")
        origin = Path(found.origin)
        for path in sorted(origin.parent.rglob("*.py")) if found.submodule_search_locations else [origin]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(file: Path, features: int) -> dict[str, npt.NDArray[np.float16]]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            keys, rows = arrays["keys"], arrays["rows"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
    if rows.shape != (len(keys), features) or rows.dtype != np.float16:
        return {}
    return dict(zip(keys.tolist(), rows, strict=True))
