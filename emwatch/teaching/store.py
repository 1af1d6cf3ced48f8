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
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.errors import TargetError
from emwatch.foreign_file import parse_json, read_bounded
from emwatch.frame import path_to_text
from emwatch.settings import NAME_PATTERN
from emwatch.targets.learned import LinearClassifier, vectors
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from emwatch.targets.learned import Rows
    from emwatch.targets.rules import Target

logger = logging.getLogger(__name__)

FORMAT: Final = 1
#: About ten thousand examples.
_CAP_BYTES: Final = 16 * 1024**2


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
        for trouble in troubles:
            logger.warning("%s", trouble)
        return list(found.values())

    def survey(self) -> tuple[dict[str, LearnedTarget], list[str]]:
        """Return the newest version of each target by name, and what is wrong with each file that cannot be read."""
        newest: dict[str, LearnedTarget] = {}
        troubles = []
        for path in self._files():
            try:
                found = self._read(path)
            except TargetError as error:
                troubles.append(str(error))
                continue
            if found.name not in newest or newest[found.name].version < found.version:
                newest[found.name] = found
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
        """Return the number of the version to come."""
        return max((each.version for each in self.all() if each.name == name), default=0) + 1

    def keep(self, target: LearnedTarget) -> Path:
        """Write a version. Raises `OSError`, and `TargetError` for one that could not be read again."""
        check_name(target.name)
        content = target.to_bytes()
        if len(content) > _CAP_BYTES:
            raise TargetError(
                f"{target.name}: {len(target.examples):,} examples are too many: learn it anew from fewer, the most different"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{_safe(target.name)}-{target.version:03}.json"
        with written_whole(path) as made:
            made.write_bytes(content)
        return path

    def take(self, file: Path) -> LearnedTarget:
        """Take over a target from a file, as the next version of its name. Raises `TargetError`."""
        found = self._read(file, "expected a file that 'emwatch target export' wrote")
        target = replace(found, version=self.next_version(found.name))
        self.keep(target)
        return target

    def forget(self, name: str) -> int:
        """Remove all versions of a target; returns how many. Raises `TargetError` if there is none."""
        self.get(name)
        paths = [path for path in self._files() if self._is_of(path, name)]
        for path in paths:
            path.unlink()
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
            return False

    def _read(self, path: Path, remedy: str = "learn it again") -> LearnedTarget:
        try:
            content = read_bounded(path, _CAP_BYTES)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise TargetError(f"{path_to_text(path)}: cannot be read: {why}; {remedy}") from error
        return LearnedTarget.from_bytes(content, path_to_text(path), remedy)


def check_name(name: str) -> None:
    """Raise `TargetError` if a target cannot be called so: no configuration could name it, and no file be read again."""
    if re.fullmatch(NAME_PATTERN, name) is None:
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
    return LearnedTarget(
        str(found["name"]),
        int(found["version"]),
        LinearClassifier(str(found["space_sha256"]), weights, threshold),
        tuple(_example(each, len(weights)) for each in found["examples"]),
        str(found["learned_at"]),
        found["facts"] if isinstance(found["facts"], dict) else {},
    )


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
