"""
Learned targets, kept beside the ledger: ``<folder of the ledger>/targets/NAME-VERSION.json``, a few kB each.

A version never changes; the highest one counts. Its examples are in it as embeddings, so that it can be refined without files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.errors import TargetError
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import path_to_text
from emwatch.settings import NAME_PATTERN
from emwatch.targets.learned import LinearClassifier, vectors
from emwatch.whole_file import make_folder, written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emwatch.targets.learned import Rows
    from emwatch.targets.rules import Target

logger = logging.getLogger(__name__)

FORMAT: Final = 1
#: About ten thousand examples.
_CAP_BYTES: Final = 16 * 1024**2
_MOST_VERSIONS: Final = 1_000_000
_MOST_RIVALS: Final = 100
_COUNTS: Final = ("wanted", "unwanted", "background")
_SHARES: Final = ("recall", "false_alarms", "precision_at_5_percent")
_TEXTS: Final = ("backbone_sha256",)


@dataclass(frozen=True, slots=True)
class Example:
    """A frame that taught, by its sha256; ``views`` are embeddings of it, the first of the frame as it is."""

    path: str
    sha256: str
    wanted: bool
    views: tuple[bytes, ...] = field(repr=False)

    @property
    def rows(self) -> Rows:
        """The views as rows of length 1."""
        return vectors(self.views)


@dataclass(frozen=True, slots=True)
class LearnedTarget:
    """``facts``: the estimates when it was learned, as `emwatch target show` lists them."""

    name: str
    version: int
    head: LinearClassifier
    examples: tuple[Example, ...]
    learned_at: str
    facts: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Write it as JSON."""
        document = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "learned_at": self.learned_at,
            "space_sha256": self.head.space_sha256,
            "threshold": self.head.threshold,
            "weights": _text(self.head.weights.astype("<f4").tobytes()),
            "examples": [
                {
                    "path": each.path,
                    "sha256": each.sha256,
                    "wanted": each.wanted,
                    "views": _text(b"".join(each.views)),
                    "count": len(each.views),
                }
                for each in self.examples
            ],
            "facts": dict(self.facts),
        }
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, path: str, remedy: str = "learn it again") -> LearnedTarget:
        """Read it. Raises `TargetError` naming ``path`` and what to do."""
        try:
            return _read_document(parse_json(content))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TargetError(f"{path}: cannot be read as a learned target: {error}; {remedy}") from error


class TargetStore:
    """The learned targets beside a ledger."""

    def __init__(self, ledger: Path) -> None:
        self.directory = ledger.absolute().parent / "targets"

    def names(self) -> list[str]:
        """Return the names of all targets, sorted."""
        return sorted({each.name for each in self.all()})

    def all(self) -> list[LearnedTarget]:
        """Return the newest version of each target; a file that cannot be read is logged and left out."""
        found, troubles = self.survey()
        for trouble in troubles.values():
            logger.warning("%s", trouble)
        return list(found.values())

    def survey(self) -> tuple[dict[str, LearnedTarget], dict[Path, str]]:
        """
        Return the newest version of each target by name, and what is wrong with each file that cannot be read.

        A file in whose place a newer version is used is no trouble any more.
        """
        newest: dict[str, LearnedTarget] = {}
        troubles = {}
        for path in self._files():
            try:
                found = self._read(path)
            except TargetError as error:
                troubles[path] = str(error)
                continue
            if found.name not in newest or newest[found.name].version < found.version:
                newest[found.name] = found
        superseded = [
            path for path in troubles if any(0 < version_of(path, each.name) < each.version for each in newest.values())
        ]
        for path in superseded:
            del troubles[path]
        return newest, troubles

    def get(self, name: str) -> LearnedTarget:
        """Return the newest version of a target. Raises `TargetError` if there is none."""
        for each in self.all():
            if each.name == name:
                return each
        known = ", ".join(self.names()) or "none yet"
        raise TargetError(
            f"no learned target is called {name!r} (there are: {known}); 'emwatch target learn' makes one"
        )

    def next_version(self, name: str) -> int:
        """Return the number of the version to come; a file that cannot be read keeps its own."""
        read = (each.version for each in self.all() if each.name == name)
        called = (version_of(path, name) for path in self._files())
        return max([0, *read, *called]) + 1

    def keep_next(self, target: LearnedTarget) -> LearnedTarget:
        """Write a target as the next version of its name, also while another is learned. Raises as `keep` does."""
        make_folder(self.directory)
        for _ in range(_MOST_RIVALS):
            target = replace(target, version=self.next_version(target.name))
            try:
                self.keep(target)
            except FileExistsError:  # somebody else learned it in this moment
                continue
            return target
        raise TargetError(f"{target.name}: others learn it at the same time; try again")

    def keep(self, target: LearnedTarget) -> Path:
        """Write a version. Raises `OSError` also if there is this one, `TargetError` for one that could not be read again."""
        check_name(target.name)
        content = target.to_bytes()
        if len(content) > _CAP_BYTES:
            raise TargetError(
                f"{target.name}: {len(target.examples):,} examples are too many: learn it anew from fewer, the most different"
            )
        make_folder(self.directory)
        path = self.directory / f"{_safe(target.name)}-{target.version:03}.json"
        with written_whole(path, new=True) as made:
            made.write_bytes(content)
        return path

    def take(self, file: Path) -> LearnedTarget:
        """Take over a target from a file, as the next version of its name. Raises `TargetError`."""
        return self.keep_next(self._read(file, "expected a file that 'emwatch target export' wrote"))

    def forget(self, name: str) -> int:
        """
        Remove all versions of a target, also those that cannot be read; returns how many.

        Raises `TargetError` if there is none.
        """
        paths = [path for path in self._files() if self._is_of(path, name)]
        if not paths:
            self.get(name)  # says which there are
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def state(self) -> tuple[tuple[str, int], ...]:
        """Return what changes with any target: names and times of the files."""
        return tuple(sorted((path.name, path.stat().st_mtime_ns) for path in self._files()))

    def _files(self) -> list[Path]:
        return sorted(path for path in self.directory.glob("*.json") if not path.name.startswith("."))

    def _is_of(self, path: Path, name: str) -> bool:
        try:
            return self._read(path).name == name
        except TargetError:
            return version_of(path, name) > 0

    def _read(self, path: Path, remedy: str = "learn it again") -> LearnedTarget:
        try:
            content = read_bounded(path, _CAP_BYTES)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise TargetError(f"{path_to_text(path)}: cannot be read: {why}; {remedy}") from error
        return LearnedTarget.from_bytes(content, path_to_text(path), remedy)


def version_of(path: Path, name: str) -> int:
    """Return which version of a target a file holds by what it is called, 0 if it is of another one."""
    found = re.fullmatch(f"{re.escape(_safe(name))}-([0-9]{{3,9}})[.]json", path.name)
    return 0 if found is None else int(found[1])


def check_name(name: str) -> None:
    """Raise `TargetError` if a target cannot be called so: no configuration could name it, and no file be read again."""
    if re.fullmatch(NAME_PATTERN, name) is None or any("\ud800" <= char <= "\udfff" for char in name):
        raise TargetError(
            f"{name!r} cannot be the name of a target: expected 1 to 80 characters on one line, for example 'gold nanorods'"
        )


def with_judges(targets: Iterable[Target], ledger: Path) -> tuple[Target, ...]:
    """Return targets ready to match: those that were learned with the newest version beside the ledger, if there is one."""
    return judged_by(targets, TargetStore(ledger).all())


def judged_by(targets: Iterable[Target], learned: Iterable[LearnedTarget]) -> tuple[Target, ...]:
    """Return targets ready to match: those that were learned with one of these, if it is there."""
    known = {each.name: each.head.judge for each in learned}
    return tuple(replace(each, judge=known.get(each.asks.learned or "")) for each in targets)


def _read_document(found: Any) -> LearnedTarget:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"no learned target of format {FORMAT}")
    weights = np.frombuffer(base64.b64decode(found["weights"], validate=True), dtype="<f4").astype(np.float32)
    threshold = float(found["threshold"])
    if not np.isfinite([*weights, threshold]).all() or not len(weights):
        raise ValueError("holds numbers that are not finite")
    if re.fullmatch(NAME_PATTERN, str(found["name"])) is None:
        raise ValueError(f"the name {found['name']!r} cannot be used")
    if type(found["version"]) is not int or not 0 < found["version"] < _MOST_VERSIONS:
        raise ValueError(f"the version {str(found['version'])[:40]!r} is no number from 1 on")
    datetime.fromisoformat(found["learned_at"])
    return LearnedTarget(
        str(found["name"]),
        found["version"],
        LinearClassifier(str(found["space_sha256"]), weights, threshold),
        tuple(_example(each, len(weights)) for each in found["examples"]),
        str(found["learned_at"]),
        _facts(found["facts"]),
    )


def _facts(found: Any) -> dict[str, Any]:
    """Return the estimates that are what they should be: they are only shown, and the target works without them."""
    if not isinstance(found, dict):
        return {}
    counts = {key: found[key] for key in _COUNTS if type(found.get(key)) is int}
    shares = {key: found[key] for key in _SHARES if _is_share(found.get(key))}
    texts = {key: found[key] for key in _TEXTS if isinstance(found.get(key), str)}
    return {**counts, **shares, **texts}


def _is_share(found: Any) -> bool:
    """Return whether something is a share and its interval: three numbers from 0 to 1, or nothing in their place."""
    if not isinstance(found, list) or len(found) != 3:
        return False
    return all(each is None or (type(each) in {int, float} and 0 <= each <= 1) for each in found)


def _example(found: Any, width: int) -> Example:
    content = base64.b64decode(found["views"], validate=True)
    if len(content) != int(found["count"]) * width or not content:
        raise ValueError("an example has another width than the weights")
    views = tuple(content[at : at + width] for at in range(0, len(content), width))
    return Example(str(found["path"]), str(found["sha256"]), bool(found["wanted"]), views)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _safe(name: str) -> str:
    """Return what a target's files are called: different for different names, also if case or letters are lost."""
    safe = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:60] or "target"
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
