"""
A bundle as one file: a zip of its files and ``SHA256SUMS``, the same bytes wherever and whenever it is written.

Stored, not deflated: two versions of zlib would give two archives, and a quantised backbone hardly shrinks.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

from emwatch.classify.bundles.bundle import EXTRAS, FILES, SIZE_CAPS, Bundle, extras_of, read_file
from emwatch.classify.bundles.trusted import open_trusted
from emwatch.errors import ModelError
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

SUMS: Final = "SHA256SUMS"
_SUMS_CAP_BYTES: Final = 4096
#: The record that ends a zip (APPNOTE.TXT, 4.3.16); a locator before it means a zip for more than 65,535 members.
_END: Final = struct.Struct("<4s4H2LH")
_LOCATOR_BYTES: Final = 20
_LIST_CAP_BYTES: Final = 4096
_COPY_AGAIN: Final = "Copy the archive again."
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can name
_UNIX: Final = 3
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def write_archive(directory: Path, target: Path) -> str:
    """
    Write a verified bundle into one archive, whole or not at all; return the archive's sha256.

    Only an archive is written over. Raises `ModelError`.
    """
    if os.path.isdir(target):  # noqa: PTH112 - unlike Path.is_dir it never raises, whatever the folder allows
        raise ModelError(
            f"{target} is a directory: expected the name of the file to write, such as {target / 'bundle.zip'}"
        )
    if os.path.lexists(target) and not zipfile.is_zipfile(target):
        raise ModelError(f"{target} is there, and no zip: it is not written over; name another file")
    bundle = Bundle.open(directory)
    contents = {name: read_file(directory, name) for name in (*FILES, *extras_of(bundle.card))}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in contents.items())
    try:
        with written_whole(target) as made:
            with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
                for name, content in (*contents.items(), (SUMS, sums.encode())):
                    entry = zipfile.ZipInfo(name, _EARLIEST)
                    entry.create_system, entry.external_attr = _UNIX, (stat.S_IFREG | 0o644) << 16
                    archive.writestr(entry, content)
            with made.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror or error}") from error
    return found


def unpack_archive(source: Path, folder: Path, sha256: str | None = None) -> None:
    """
    Unpack an archive's files into an empty folder; nothing else may be in it, and nothing is larger than such files are.

    Whether they make a bundle is for the caller to see. ``sha256``: what the archive must have. Raises `ModelError`.
    """
    try:
        with open_trusted(source, _COPY_AGAIN) as file:
            if sha256 is not None and (found := hashlib.file_digest(file, "sha256").hexdigest()) != sha256.lower():
                raise ModelError(f"{source} is not the file that was meant: expected sha256 {sha256}, found {found}")
            with zipfile.ZipFile(with_a_short_list(file, _LIST_CAP_BYTES)) as archive:
                members = archive.infolist()
                _refuse_strangers(source, members)
                contents = {each.filename: _content(source, archive, each) for each in members}
    except FileNotFoundError as error:
        raise ModelError(f"{source}: no such file") from error
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        # RuntimeError: zipfile's word for an encrypted member.
        raise ModelError(f"{source} cannot be read as a bundle's archive: {error}") from error
    _compare_sums(source, contents)
    for name, content in contents.items():
        if name != SUMS:
            (folder / name).write_bytes(content)


def with_a_short_list(file: IO[bytes], most_bytes: int) -> IO[bytes]:
    """Refuse an archive that lists so many members that the list alone would fill the memory; zipfile reads it whole."""
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(max(0, size - _END.size - _LOCATOR_BYTES))
    tail = file.read()
    if len(tail) < _END.size or tail[-_END.size :][:4] != b"PK\5\6":
        raise zipfile.BadZipFile("it does not end as a zip does")
    *_, list_bytes, _offset, _comment = _END.unpack(tail[-_END.size :])
    if list_bytes > most_bytes or tail.startswith(b"PK\6\7"):
        raise zipfile.BadZipFile("it lists more members than such an archive has")
    return file


def _refuse_strangers(source: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [each.filename for each in members]
    extras = [name for name in EXTRAS if name in names]
    if sorted(names) != sorted((*FILES, *extras, SUMS)):
        strange = ", ".join(repr(name) for name in names if name not in (*FILES, *extras, SUMS))[:200]
        raise ModelError(
            f"{source} is no archive of 'emwatch model export': expected {', '.join((*FILES, SUMS))} and nothing else, "
            + (f"found {strange}" if strange else f"found {', '.join(names)}")
        )


def _content(source: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Read one member, never more than such a file has, whatever the archive says of its size."""
    cap = SIZE_CAPS.get(member.filename, _SUMS_CAP_BYTES)
    if member.compress_type not in _METHODS:
        raise ModelError(f"{source}: {member.filename} is packed in a way that no 'emwatch model export' uses")
    file: IO[bytes]
    with closing(archive.open(member)) as file:
        content = file.read(cap + 1)
    if len(content) > cap:
        raise ModelError(f"{source}: {member.filename} is larger than {cap} bytes, which no such file is")
    return content


def _compare_sums(source: Path, contents: dict[str, bytes]) -> None:
    there = [name for name in (*FILES, *EXTRAS) if name in contents]
    expected = "".join(f"{hashlib.sha256(contents[name]).hexdigest()}  {name}\n" for name in there).encode()
    if contents[SUMS] != expected:
        raise ModelError(f"{source} was damaged: its files are not those that {SUMS} names. {_COPY_AGAIN}")
