"""Which session a frame belongs to, as the configuration says: the pause between two, instruments, and folders."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from emwatch.filesystem import real_path
from emwatch.frame import path_to_text

#: What may stand in braces in a rule for folders.
NAMES: Final = ("operator", "sample", "session")
_PART: Final = re.compile(r"\{(\w+)\}|(\*)|([^{}*]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """What the place of a file says: the instrument of its directory; by the rule, the folder of its session and who and what."""

    instrument: str = ""
    folder: str = ""
    session: str | None = None
    operator: str | None = None
    sample: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRules:
    """
    The rules for sessions.

    Attributes:
        gap: frames written within this time of each other are of one session, unless something else says so.
        instruments: the watched directories, with the name of the instrument that writes into each, or "".
        folders: such as ``{operator}/{sample}``, below a watched directory; "" for none. See `folder_pattern`.

    """

    gap: timedelta = timedelta(minutes=120)
    instruments: tuple[tuple[Path, str], ...] = ()
    folders: str = ""
    _roots: dict[Path, str] = field(default_factory=dict, compare=False, repr=False)

    def place_of(self, path: Path) -> Place:
        """Return what a file's path says of its session."""
        root = self._root_of(path)
        if root is None:
            return Place()
        instrument = self._roots[root]
        below = path.relative_to(root).parent.as_posix()
        found = folder_pattern(self.folders).match(f"{below}/") if self.folders else None
        if found is None:
            return Place(instrument)
        said = {name: path_to_text(text) for name, text in found.groupdict().items()}
        folder = Path(root, found.group().rstrip("/"))
        said.setdefault("session", path_to_text(folder.relative_to(root).as_posix()))
        return Place(instrument, path_to_text(folder), **said)

    def _root_of(self, path: Path) -> Path | None:
        for _ in range(2):
            known = [root for root in self._roots if path.is_relative_to(root)]
            if known or not self.instruments:
                return max(known, key=lambda root: len(root.parts), default=None)
            # A watched link may lead elsewhere than before.
            for directory, name in self.instruments:
                self._roots.update({directory.absolute(): name, real_path(directory): name})
        return None


def folder_pattern(rule: str) -> re.Pattern[str]:
    """
    Return the pattern of a rule for folders, to be matched with a path that ends in ``/``.

    ``{operator}``, ``{sample}`` and ``{session}`` take a part of a folder's name, ``*`` any part, a slash separates folders.

    Raises:
        ValueError: the rule is none; the message says why.

    """
    if rule.startswith("/") or rule.endswith("/") or "//" in rule or not rule:
        raise ValueError("expected folders below the watched directory, such as {operator}/{sample}")
    parts, at, seen = [], 0, set()
    while at < len(rule):
        part = _PART.match(rule, at)
        if part is None:
            raise ValueError(f"{rule[at:]!r}: braces go in pairs, around one of {', '.join(NAMES)}")
        name, star, text = part.groups()
        if name and (name not in NAMES or name in seen):
            raise ValueError(f"{{{name}}}: expected each of {', '.join(f'{{{each}}}' for each in NAMES)} at most once")
        seen.add(name)
        parts.append(f"(?P<{name}>[^/]+?)" if name else "[^/]*" if star else re.escape(text))
        at = part.end()
    return re.compile("".join(parts) + "/")
