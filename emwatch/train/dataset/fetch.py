"""The public set of labelled frames, category by category: fetched, verified, unpacked, and labelled with its licence."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from emwatch.errors import FetchError
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.train.dataset.download import PART, download
from emwatch.train.dataset.labelled import LABELS, LabelledFrame, frames_in_folders, write_manifest
from emwatch.train.dataset.repository import PUBLIC_DOI, PUBLIC_LICENCE, record_files
from emwatch.train.dataset.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.train.dataset.repository import RemoteFile

_ATTRIBUTION: Final = "ATTRIBUTION.txt"

#: Left free on the disk, whatever is fetched.
_SPARE_BYTES: Final = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """What to fetch, its source and its destination."""

    out: Path
    url: str
    record: str
    categories: tuple[str, ...] = CATEGORIES


def planned(order: FetchOrder, pause: Callable[[float], None]) -> dict[str, RemoteFile]:
    """
    Ask the repository for the archive of each category that is not there yet.

    Raises `FetchError` if one is missing in the record, the disk has too little room for all, or the folder holds
    something else: its frames would be taken for the public ones.
    """
    if order.out.exists() and not (order.out / _ATTRIBUTION).is_file() and any(order.out.iterdir()):
        raise FetchError(
            f"{path_to_text(order.out)} holds files that did not come from here: name a new or empty folder with --out"
        )
    missing = [name for name in order.categories if not (order.out / name).is_dir()]
    if not missing:
        return {}
    files = record_files(order.url, order.record, pause)
    archives = {PurePosixPath(file.name).name.partition(".")[0]: file for file in files if ".tar" in file.name}
    if absent := [name for name in missing if name not in archives]:
        there = ", ".join(sorted(file.name for file in files)) or "no files"
        raise FetchError(f"record {order.record} of {order.url} has no archive of {', '.join(absent)}: it has {there}")
    if odd := [
        file.name for file in archives.values() if PurePosixPath(file.name).name != file.name or "\\" in file.name
    ]:
        raise FetchError(f"record {order.record} of {order.url} names files with folders in them: {', '.join(odd)}")
    plan = {name: archives[name] for name in missing}
    _check_room(order.out, list(plan.values()))
    return plan


def fetch_category(
    order: FetchOrder, name: str, remote: RemoteFile, tell: Callable[[int], None], pause: Callable[[float], None]
) -> int:
    """Fetch and unpack one category; its archive is removed then. Returns how many frames it has. Raises `FetchError`."""
    try:
        order.out.mkdir(parents=True, exist_ok=True)
        _attribute(order)
        archive = download(remote, order.out, tell, pause)
        count = unpack(archive, order.out / name)
        archive.unlink()
    except OSError as error:
        raise FetchError(
            f"{path_to_text(order.out)}: {error.strerror or error} while {remote.name} was fetched. What came is kept: "
            "make room or choose another folder with --out, and run the same command again"
        ) from error
    return count


def label(order: FetchOrder) -> Counter[str]:
    """Write ``labels.tsv`` with the licence over all categories that are there. Returns the frames of each."""
    frames: Sequence[LabelledFrame] = frames_in_folders(order.out)
    write_manifest(order.out / LABELS, (replace(frame, licence=PUBLIC_LICENCE, open_licence=True) for frame in frames))
    return Counter(CATEGORIES[frame.category] for frame in frames)


def _attribute(order: FetchOrder) -> None:
    """Write what the licence asks for; it also marks the folder as one that is fetched into."""
    (order.out / _ATTRIBUTION).write_text(
        "R. Aversa, M. H. Modarres, S. Cozzini, R. Ciancio, A. Chiusole: The first annotated set of scanning electron "
        "microscopy images for nanoscience. Scientific Data 5:180172 (2018).\n"
        f"Frames: doi:{PUBLIC_DOI}. Licence: CC BY.\n"
        f"Fetched from {order.url}, record {order.record}; unpacked, otherwise unchanged.\n",
        encoding="utf-8",
    )


def _check_room(out: Path, files: Sequence[RemoteFile]) -> None:
    """Check that the disk holds all pictures and, beside them, one archive at a time."""
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    begun = sum(part.stat().st_size for file in files if (part := out / f"{file.name}{PART}").is_file())
    needed = sum(file.size for file in files) + max(file.size for file in files) + _SPARE_BYTES - begun
    free = shutil.disk_usage(there).free
    if free < needed:
        raise FetchError(
            f"{path_to_text(there)} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed to fetch and unpack "
            f"{len(files)} archives: make room, choose another disk with --out, or fewer with --categories"
        )
