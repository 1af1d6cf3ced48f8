"""Downloads one large file from a repository: resumed after a break, and accepted only with the right checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
from typing import TYPE_CHECKING, Final

from emwatch.errors import FetchError
from emwatch.frame import path_to_text
from emwatch.train.dataset.repository import ATTEMPTS, PASSING, ask, pause_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.train.dataset.repository import RemoteFile

#: What has come of a file that is not whole yet.
PART: Final = ".part"

_CHUNK_BYTES: Final = 256 * 1024


def download(remote: RemoteFile, folder: Path, tell: Callable[[int], None], pause: Callable[[float], None]) -> Path:
    """
    Fetch a file into a folder; returns its path once its size and checksum are right.

    What has come so far lies beside it as ``.part`` and is gone on from, also by another process. ``tell`` hears how many
    bytes are there, ``pause`` waits so many seconds. Raises `FetchError`, with the part kept if it may still be good.
    """
    whole, part = folder / remote.name, folder / f"{remote.name}{PART}"
    if whole.is_file() and whole.stat().st_size == remote.size and _md5(whole) == remote.md5:
        return whole
    for last in (False, True):
        begun_before = _length(part) > 0
        _bring(remote, part, tell, pause)
        found = _md5(part)
        if found == remote.md5:
            part.replace(whole)
            return whole
        part.unlink()
        # What lay there may have been damaged, or of another version of the file; a fresh copy tells.
        if last or not begun_before:
            break
    raise FetchError(
        f"{remote.url} is not what the record says: expected md5 {remote.md5}, found {found} in {remote.size} bytes. "
        "The copy was removed; try again later, and tell the repository if it stays so"
    )


def _bring(remote: RemoteFile, part: Path, tell: Callable[[int], None], pause: Callable[[float], None]) -> None:
    """Make the part as long as the file, however often the line breaks, as long as something comes each time."""
    failures = 0
    while (have := _length(part)) < remote.size or not part.is_file():
        tell(have)
        try:
            _go_on(remote, part, have, tell)
            error: BaseException = EOFError(f"the server ended after {_length(part)} bytes")
        except PASSING as broken:
            error = broken
        if _length(part) > have:
            failures = 0
        elif remote.size > 0:
            failures += 1
            if failures == ATTEMPTS:
                raise FetchError(
                    f"{remote.url}: {have} of {remote.size} bytes came, and nothing more in {ATTEMPTS} attempts ({error}). "
                    f"They are kept in {path_to_text(part)}: run the same command again to go on"
                ) from error
            pause(pause_s(failures, error))
    tell(remote.size)


def _go_on(remote: RemoteFile, part: Path, have: int, tell: Callable[[int], None]) -> None:
    """Ask for what is missing and append it; from the start if the server cannot begin in the middle."""
    try:
        answer = ask(remote.url, {"Range": f"bytes={have}-"} if have else {})
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            error.close()
            raise NotServedError(f"the server has no bytes after {have}") from error
        raise
    with answer:
        resumes = answer.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(answer) == have
        if answer.status == http.HTTPStatus.PARTIAL_CONTENT and not resumes:
            raise NotServedError(
                f"the server sent {answer.headers.get('Content-Range')!r}, asked for bytes from {have}"
            )
        with part.open("ab" if resumes else "wb") as file:
            have = have if resumes else 0
            while chunk := answer.read(_CHUNK_BYTES):
                have += len(chunk)
                if have > remote.size:
                    file.close()
                    part.unlink()
                    raise FetchError(
                        f"{remote.url} is longer than the {remote.size} bytes that the record says: not what was "
                        "recorded, and not to be unpacked"
                    )
                file.write(chunk)
                tell(have)
            file.flush()
            os.fsync(file.fileno())


class NotServedError(ConnectionError):
    """The server gave nothing more, or not what was asked for; asking again may help."""


def _starts_at(answer: http.client.HTTPResponse) -> int:
    unit, _, rest = (answer.headers.get("Content-Range") or "").partition(" ")
    start = rest.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdigit() else -1


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
