"""
Where frames come from, told from how they are filed: frames of one source must not both teach and judge a model.

A folder below the category's is one source, whichever categories it is found in: people sort by session or sample.
Without one, names that differ in their last number only (``wafer7_003.tif``) are one series. Names that are hashes tell
nothing: each such frame stands for itself, and only near duplicates hold together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

#: The last number of a name, with what separates it and short tails such as ``(2)`` or ``_bse``-less counters.
_COUNTER: Final = re.compile(r"[\s_.\-#(\[]*\d+[)\]]?$")
#: At least eight hexadecimal digits, digits and letters among them, as the last word of the name.
_HASH: Final = re.compile(r"(?:^|[\s_.\-])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}$", re.IGNORECASE)


def source_by_filing(category_folder: Path, path: Path) -> str:
    """Name the source of a frame below its category's folder, by its sub-folder, else by its name."""
    below = path.relative_to(category_folder).parent
    if below.parts:
        return below.as_posix()
    if _HASH.search(path.stem):
        return f"{category_folder.name}/{path.name}"
    return f"series {_COUNTER.sub('', path.stem) or 'without a name'}"


def names_tell_nothing(source: str) -> bool:
    """Return whether `source_by_filing` could name a single frame only."""
    stem = source.rpartition("/")[2].rpartition(".")[0]
    return bool(stem) and _HASH.search(stem) is not None
