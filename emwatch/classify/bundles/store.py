"""
The bundles kept beside the ledger, and which of them is in use.

``<folder of the ledger>/models`` holds a folder ``<name>-<first 12 of the sha256>`` for each bundle, and ``active.json``,
which names the one in use and those before it. A bundle enters whole or not at all, and never changes afterwards.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emwatch.classify.bundles.archive import unpack_archive
from emwatch.classify.bundles.bundle import FILES, Bundle, default_directory, extras_of, read_card, read_file
from emwatch.classify.bundles.pointer import Activation, Pointer
from emwatch.classify.bundles.trusted import read_trusted
from emwatch.classify.classifier import Classifier
from emwatch.errors import ModelError
from emwatch.foreign_file import parse_json
from emwatch.whole_file import flush, make_folder, written_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from emwatch.config import Config

POINTER: Final = "active.json"
_POINTER_CAP_BYTES: Final = 64 * 1024
#: How bundles compared on labelled frames, for `activate`.
COMPARISONS: Final = "comparisons.json"
_MOST_COMPARISONS: Final = 50
_COMPARISONS_CAP_BYTES: Final = 1024**2
_SHORTEST_SHA: Final = 6
_LEFT_OVER_S: Final = 86400.0
_AGAIN: Final = "'emwatch model activate NAME' writes it anew."


@dataclass(frozen=True, slots=True)
class Kept:
    """
    A bundle that can be used: its card, or why that cannot be read.

    ``folder``: its name in the store, ``None`` for the one that comes with emwatch.
    """

    directory: Path
    folder: str | None
    sha256: str = ""
    card: dict[str, Any] | None = None
    trouble: str = ""

    @property
    def name(self) -> str:
        """Return the name that its author gave it, or its folder's name if the card is unreadable."""
        return str(self.card.get("name", "")) if self.card else self.directory.name

    @property
    def short(self) -> str:
        """Return name and number as in the name of its folder in the store."""
        return f"{_safe(self.name)}-{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class Compared:
    """How two bundles did on the same labelled frames: balanced accuracy of each."""

    first: str  #: sha256
    second: str
    first_balanced: float
    second_balanced: float
    frames: int
    dataset: str
    at: str  #: ISO 8601 with offset
    within_chance: bool | None = None  #: whether the difference may be none; not kept by earlier versions


@dataclass(frozen=True, slots=True)
class InUse:
    """
    Which bundle is to be loaded.

    ``sha256``: what it must be, ``None`` if nothing is pinned. ``configured``: model.bundle says so, whatever was activated.
    """

    directory: Path
    sha256: str | None
    configured: bool = False

    def load(self, engine: str = "litert", threads: int = 2) -> Classifier:
        """Open, verify and test it. Raises `ModelError`, also if it is not the bundle that was activated."""
        try:
            classifier = Classifier.load(self.directory, engine, threads)
        except ModelError as error:
            if self.sha256 is None:
                raise
            raise ModelError(
                f"the activated model cannot be used: {error} Or go back: 'emwatch model rollback'."
            ) from error
        if self.sha256 is not None and classifier.bundle is not None and classifier.bundle_sha256 != self.sha256:
            raise ModelError(
                f"{self.directory}: is another bundle than was activated: expected {self.sha256}, found "
                f"{classifier.bundle_sha256}. Find out who changed it; 'emwatch model activate' takes one that you trust."
            )
        return classifier


def store_of(config: Config) -> BundleStore:
    """Return the store that belongs to a configuration's ledger."""
    return BundleStore(config.ledger.path.absolute().parent / "models")


def in_use(config: Config) -> InUse:
    """
    Return the bundle in use: model.bundle, else the activated one, else the one that comes with emwatch.

    Raises `ModelError`.
    """
    if config.model.bundle is not None:
        return InUse(config.model.bundle, None, configured=True)
    if config.model.engine == "stub":  # looks at no bundle, and needs none
        return InUse(Path(), None)
    return store_of(config).in_use()


class BundleStore:
    """The bundles in one directory, which is made with the first of them. Every method may raise `ModelError`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def pointer_file(self) -> Path:
        """Return the file that names the bundle in use."""
        return self.directory / POINTER

    def pointer(self) -> Pointer:
        """Read what is in use."""
        try:
            content = read_trusted(self.pointer_file, _POINTER_CAP_BYTES, _AGAIN)
        except FileNotFoundError:
            return Pointer()
        try:
            return Pointer.from_json(content)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.pointer_file} cannot be understood ({error}): {_AGAIN}") from error

    def in_use(self) -> InUse:
        """Return the activated bundle."""
        active = self.pointer().active
        if active is None or active.folder is None:
            return InUse(default_directory(), None)
        return InUse(self.directory / active.folder, active.sha256)

    def kept(self) -> list[Kept]:
        """List what can be activated, the one that comes with emwatch first; only cards are read."""
        found = [_kept(default_directory(), None)]
        if self.directory.is_dir():
            found += [
                _kept(each, each.name)
                for each in sorted(self.directory.iterdir())
                if each.is_dir() and not each.name.startswith(".")
            ]
        return found

    def find_default(self) -> Kept:
        """Return the bundle that comes with emwatch."""
        default = _kept(default_directory(), None)
        if default.trouble:
            raise ModelError(default.trouble)
        return default

    def find_at(self, directory: Path) -> Kept:
        """Return the bundle of a directory, in the store or elsewhere."""
        return _kept(directory, directory.name if directory.parent == self.directory else None)

    def test(self, kept: Kept) -> None:
        """Verify a bundle's files and run its self-test."""
        found = Classifier.load(kept.directory).bundle_sha256
        if found != kept.sha256:
            raise ModelError(f"{kept.directory}: was changed just now: it is {found}, and was {kept.sha256}")

    def find(self, wanted: str) -> Kept:
        """Find a kept bundle by its folder, its name, or six or more digits of its sha256; else a directory elsewhere."""
        kept = self.kept()
        named = [each for each in kept if wanted == each.folder] or [each for each in kept if wanted == each.name]
        if not named and len(wanted) >= _SHORTEST_SHA:
            named = [each for each in kept if each.sha256.startswith(wanted.lower())]
        if not named and (elsewhere := Path(wanted).expanduser().absolute()).is_dir():
            return self.find_at(elsewhere)
        if len({each.sha256 for each in named}) > 1:
            which = ", ".join(f"{each.name} {each.sha256[:12]}" for each in named)
            raise ModelError(f"{wanted!r} may be any of {which}: give the number instead of the name")
        if not named:
            known = ", ".join(f"{each.name} {each.sha256[:12]}" for each in kept)
            raise ModelError(f"there is no bundle {wanted!r}: no directory of that name, and stored are only {known}")
        return named[0]

    def add(self, source: Path, sha256: str | None = None) -> Kept:
        """
        Copy a bundle, a directory or an archive, into the store, once the copy is verified and has passed its self-test.

        One that is there already stays as it is, unless it was damaged since. ``sha256``: what an archive must have.
        """
        with self.incoming() as folder:
            if source.is_dir():
                for name in (*FILES, *extras_of(read_card(source)[0])):
                    (folder / name).write_bytes(read_file(source, name))
            else:
                unpack_archive(source, folder, sha256)
            return self.settle(folder, source)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Yield an empty folder in the store for an incoming bundle; it is always removed afterwards."""
        try:
            self._make()
            for left in self.directory.glob(".incoming-*"):  # by a command that was killed
                if time.time() - left.stat().st_mtime > _LEFT_OVER_S:
                    shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=self.directory, prefix=".incoming-") as folder:
                yield Path(folder)
        except OSError as error:
            place = error.filename or self.directory
            raise ModelError(
                f"{place}: {error.strerror or error}; the store of models needs a disk that takes it"
            ) from error

    def settle(self, folder: Path, source: Path) -> Kept:
        """Verify and test the files in an `incoming` folder, and make them a kept bundle; errors name the ``source``."""
        try:
            bundle = Bundle.open(folder)
            Classifier.load(folder)
        except ModelError as error:
            raise ModelError(str(error).replace(os.fspath(folder), os.fspath(source))) from error
        name = Kept(folder, None, bundle.sha256, dict(bundle.card)).short
        target = self.directory / name
        if target.exists():
            if _is_whole(target, bundle.sha256):
                return _kept(target, name)
            shutil.rmtree(target)
        made = folder / name
        made.mkdir()
        made.chmod(0o755)
        for each in (*FILES, *extras_of(bundle.card)):
            (folder / each).chmod(0o644)
            flush(folder / each)
            (folder / each).rename(made / each)
        flush(made)
        made.rename(target)
        flush(self.directory)
        return _kept(target, name)

    def activate(self, kept: Kept, at: datetime) -> Pointer:
        """Put a kept bundle into use, which is remembered for `rollback`; it must have been verified and tested."""
        try:
            before = self.pointer()
        except ModelError:  # what cannot be read is written anew; only the way back is lost
            before = Pointer()
        default = self.find_default()
        if before.active is None:
            before = Pointer(Activation(default.name, default.sha256, None, at.isoformat()))
        return self._point(before.then(Activation(kept.name, kept.sha256, kept.folder, at.isoformat())))

    def rollback(self, at: datetime) -> Pointer:
        """Put the bundle before this one into use again, once it has been verified and has passed its self-test."""
        before = self.pointer()
        if not before.history:
            raise ModelError("there is nothing to go back to: no other model was in use here")
        last = before.history[-1]
        try:
            kept = self.find_default() if last.folder is None else self.find_at(self.directory / last.folder)
            if kept.trouble or (last.folder is not None and kept.sha256 != last.sha256):
                raise ModelError(kept.trouble or f"{kept.directory} is another bundle now than it was")  # noqa: TRY301 - one way out
            self.test(kept)
        except ModelError as error:
            raise ModelError(
                f"{last.name} {last.sha256[:12]}, which was in use before, cannot be used any more: {error} "
                "Nothing was changed; 'emwatch model activate' takes another one."
            ) from error
        return self._point(
            Pointer(Activation(kept.name, kept.sha256, kept.folder, at.isoformat()), before.history[:-1])
        )

    def remember(self, compared: Compared) -> None:
        """Keep how two bundles compared on the same frames; a later comparison of the two takes the place of an earlier."""
        others = [each for each in self.comparisons() if {each.first, each.second} != {compared.first, compared.second}]
        document = [asdict(each) for each in (*others, compared)[-_MOST_COMPARISONS:]]
        self._write(self.directory / COMPARISONS, document)

    def comparisons(self) -> list[Compared]:
        """Return the stored comparisons; an invalid file counts as none, since it can only save a ``--force``."""
        try:
            content = read_trusted(self.directory / COMPARISONS, _COMPARISONS_CAP_BYTES, "")
            return [Compared(**each) for each in parse_json(content)]
        except (FileNotFoundError, ModelError, ValueError, TypeError):
            return []

    def _point(self, pointer: Pointer) -> Pointer:
        self._write(self.pointer_file, pointer.document())
        return pointer

    def _make(self) -> None:
        """Make the folder, readable for the daemon's user whoever makes it: models are no secret."""
        if not self.directory.is_dir():
            make_folder(self.directory)
            self.directory.chmod(0o755)

    def _write(self, file: Path, document: Any) -> None:
        """Write a small file: the old one or the new one is there at any moment, whatever fails."""
        try:
            self._make()
            with written_whole(file) as made:
                made.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
                made.chmod(0o644)
        except OSError as error:
            raise ModelError(f"{file} cannot be written: {error.strerror or error}; nothing was changed") from error


def _kept(directory: Path, folder: str | None) -> Kept:
    try:
        card, sha256 = read_card(directory)
    except ModelError as error:
        return Kept(directory, folder, trouble=str(error))
    return Kept(directory, folder, sha256, card)


def _is_whole(directory: Path, sha256: str) -> bool:
    try:
        return Bundle.open(directory).sha256 == sha256
    except ModelError:
        return False


def _safe(name: str) -> str:
    """Make a bundle's name the name of a folder on any system."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-")[:60] or "bundle"
