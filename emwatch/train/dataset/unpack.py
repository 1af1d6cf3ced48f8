"""Pictures out of an archive that a stranger packed: nothing outside the folder, nothing but pictures, and no bomb."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from emwatch.errors import FetchError
from emwatch.frame import path_to_text
from emwatch.train.dataset.labelled import PICTURES

if TYPE_CHECKING:
    from pathlib import Path

#: No honest frame is larger, no honest category has more files.
_FILE_CAP_BYTES: Final = 512 * 1024**2
_MEMBERS_CAP: Final = 200_000

#: Frames hardly compress: an archive that grows more than so much is none of frames.
_INFLATION: Final = 20
_INFLATION_FREE_BYTES: Final = 64 * 1024**2


def unpack(archive: Path, folder: Path) -> int:
    """
    Unpack the pictures of a tar archive, whatever its compression, into ``folder``; returns how many there were.

    A leading folder of the archive that is named as ``folder`` is left out. The folder appears whole or not at all.
    Hidden files and files that are no pictures are passed over. Raises `FetchError` for an archive that is damaged, or
    has links, devices, paths that lead outside, one path twice, or too much.
    """
    made = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(made, ignore_errors=True)
    try:
        count = _unpacked(archive, made, folder.name)
        if count == 0:
            raise FetchError(f"{path_to_text(archive)} holds no pictures: expected {', '.join(sorted(PICTURES))} files")
        made.rename(folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise FetchError(f"{path_to_text(archive)} cannot be unpacked: {error}; expected a tar archive") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return count


def _unpacked(archive: Path, made: Path, category: str) -> int:
    room = max(_INFLATION * archive.stat().st_size, _INFLATION_FREE_BYTES)
    count = 0
    with tarfile.open(archive, "r:*") as opened:
        for number, member in enumerate(opened, start=1):
            room -= member.size
            if number > _MEMBERS_CAP or member.size > _FILE_CAP_BYTES or room < 0:
                raise _refused(archive, member.name, "makes it larger than any archive of frames is")
            if member.isdir():
                continue
            if not member.isreg():
                raise _refused(archive, member.name, "is a link or a device")
            path = _inside(archive, member.name, category)
            if path.suffix.lower() not in PICTURES or any(part.startswith(".") for part in path.parts):
                continue
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            content = opened.extractfile(member)
            if content is None:
                raise _refused(archive, member.name, "has no content")
            try:
                with content, target.open("xb") as file:
                    shutil.copyfileobj(content, file)
            except FileExistsError as error:
                raise _refused(archive, member.name, "is there twice") from error
            count += 1
    return count


def _inside(archive: Path, name: str, category: str) -> PurePosixPath:
    """Return the path of a member below its category's folder. Raises if it would lie outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\x00" in name:
        raise _refused(archive, name, "leads outside")
    below = path.parts[1:] if len(path.parts) > 1 and path.parts[0] == category else path.parts
    return PurePosixPath(*below)


def _refused(archive: Path, member: str, why: str) -> FetchError:
    return FetchError(f"{path_to_text(archive)} is not unpacked: {member!r} in it {why}")
