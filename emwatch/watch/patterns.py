"""Which files of the acquisition directory are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Patterns:
    """
    Globs over names; case does not matter.

    A pattern with a slash is held against the path below the watched directory. One without is held against the file's
    name to include it, and against every part of its path to exclude it, so that ``@eaDir`` leaves out the whole folder.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def wants_file(self, relative: PurePath) -> bool:
        """Tell whether a file is to be read, given its path below the watched directory."""
        return not self._hit(self.exclude, relative) and self._hit(self.include, relative, name_only=True)

    def wants_folder(self, relative: PurePath) -> bool:
        """Tell whether a folder is to be entered."""
        return not self._hit(self.exclude, relative)

    @staticmethod
    def _hit(patterns: tuple[str, ...], relative: PurePath, *, name_only: bool = False) -> bool:
        whole = relative.as_posix().lower()
        parts = (relative.name.lower(),) if name_only else tuple(part.lower() for part in relative.parts)
        for pattern in patterns:
            low = pattern.lower()
            if "/" in low:
                if fnmatchcase(whole, low):
                    return True
            elif any(fnmatchcase(part, low) for part in parts):
                return True
        return False
