"""What kind of file system a directory lies on: events do not cross a network, so shares are polled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from unicodedata import normalize

#: Types on which another machine (or layer) can write without this kernel raising an event.
_WITHOUT_EVENTS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "fuseblk",
        "overlay",
        "virtiofs",
        "vboxsf",
    }
)
#: Types whose files another machine may write, too: SQLite's WAL needs memory that all its users share.
_NETWORK: Final = _WITHOUT_EVENTS - {"fuseblk", "overlay"}
#: Types that change a directory's mtime with its entries (POSIX), as seen from here. Not overlay, where a merged directory
#: shows the time of its upper layer; not cifs, whose servers may keep FAT.
_WITH_DIRECTORY_TIMES: Final = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "jfs", "bcachefs", "tmpfs", "nfs", "nfs4"}
)
_MOUNT_TABLE = Path("/proc/self/mountinfo")


def plain_name(text: str) -> str:
    """Return a name or pattern as it is compared: capitals do not count, nor how letters are composed (macOS takes them apart)."""
    return text.lower() if text.isascii() else normalize("NFC", normalize("NFD", text).casefold())


def readings_of_glob(pattern: str) -> tuple[str, ...]:
    """Return a glob as it stands, and with brackets that stand for themselves: programs name copies ``scan[1].tif``."""
    return tuple(dict.fromkeys((pattern, pattern.replace("[", "[[]"))))


def real_path(path: Path) -> Path:
    """
    Return a path, absolute and without symbolic links, whether it is there or not.

    Raises nothing: a ring of links stays as it is, and what is done with it says so. (`Path.resolve` raises before 3.13.)
    """
    return Path(os.path.realpath(path))


def file_system_type(directory: Path, mount_table: Path = _MOUNT_TABLE) -> str:
    """
    Return the type of the file system a directory lies on, e.g. ``ext4`` or ``cifs``; empty if it is not known.

    Read from the mount table (proc(5), ``/proc/self/mountinfo``): the deepest mount point above the directory wins,
    the later one if two are mounted on the same place.
    """
    try:
        lines = mount_table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place = directory.absolute()
    deepest, kind = -1, ""
    for line in lines:
        before, separator, after = line.partition(" - ")
        fields = before.split()
        if not separator or len(fields) < 5 or not after:
            continue
        mount_point = Path(_unescape(fields[4]))
        depth = len(mount_point.parts)
        if place.is_relative_to(mount_point) and depth >= deepest:
            deepest, kind = depth, after.split()[0]
    return kind


def lacks_events(kind: str) -> bool:
    """Return whether files can appear on a file system of this type without an event."""
    return kind in _WITHOUT_EVENTS or kind.startswith("fuse.")


def keeps_directory_times(kind: str) -> bool:
    """Return whether an unchanged directory mtime on this type of file system means unchanged names in it."""
    return kind in _WITH_DIRECTORY_TIMES


def crosses_network(kind: str) -> bool:
    """Return whether a file system of this type may be written by other machines."""
    return kind in _NETWORK or kind.startswith("fuse.")


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes."""
    for escape, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escape, char)
    return field
