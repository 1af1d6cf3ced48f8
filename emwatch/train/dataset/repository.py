"""
A repository with B2SHARE's REST API: what files a record has, how large they are and what their checksums must be.

``GET /api/records/ID`` names the listing in ``links.files``. The listing holds ``contents``, each with ``links.self``
(B2SHARE until version 2), or ``entries``, each with ``links.content`` (InvenioRDM, version 3). Both are understood.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import emwatch
from emwatch.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The first annotated set of SEM frames (Aversa et al., Sci. Data 5:180172, 2018), CC BY.
PUBLIC_URL: Final = "https://b2share.eudat.eu"
PUBLIC_RECORD: Final = "80df8606fcdb4b2bae1656f0dc6db8ba"
PUBLIC_DOI: Final = f"10.23728/b2share.{PUBLIC_RECORD}"
PUBLIC_LICENCE: Final = f"CC BY, Aversa et al. 2018, doi:{PUBLIC_DOI}"

_TIMEOUT_S: Final = 60.0
_ANSWER_CAP_BYTES: Final = 16 * 1024**2
_MD5: Final = re.compile(r"[0-9a-f]{32}")

#: What a line or a tired server does; asking again helps.
PASSING: Final = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_PASSING_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

#: Waiting times grow from the first to the last; a server's own wish counts up to the last.
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 120.0

#: So often in a row a request may bring nothing before it is given up.
ATTEMPTS: Final = 6


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a record."""

    name: str
    size: int  #: bytes
    md5: str
    url: str


def record_files(base: str, record: str, pause: Callable[[float], None]) -> list[RemoteFile]:
    """List the files of a record of the repository at ``base``. Raises `FetchError`."""
    if urllib.parse.urlsplit(base).scheme not in {"http", "https"}:
        raise FetchError(f"{base!r} is no address of a repository: expected https://...")
    about = f"{base.rstrip('/')}/api/records/{urllib.parse.quote(record, safe='')}"
    answer = _json(about, pause)
    listing = answer.get("links", {}).get("files") if isinstance(answer.get("links"), dict) else None
    if not isinstance(listing, str):
        raise _unknown(about, "names no listing of files in links.files")
    _check_link(base, listing)
    found = _json(listing, pause)
    rows = found.get("contents", found.get("entries"))
    if not isinstance(rows, list):
        raise _unknown(listing, "has neither 'contents' nor 'entries'")
    return [_file(base, listing, row) for row in rows]


def ask(url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Open a URL. Raises `FetchError` for what will not pass, and one of `PASSING` for what may."""
    request = urllib.request.Request(url, headers={"User-Agent": f"emwatch/{emwatch.__version__}", **headers})  # noqa: S310 - `_check_link`
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310 - `_check_link`
    except urllib.error.HTTPError as error:
        if error.code in _PASSING_STATUS or error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        raise FetchError(
            f"{url}: the server answers {error.code} {error.reason}. "
            "The record may have moved: look for it in a browser, and name its place with --url"
        ) from error
    return answer


def pause_s(attempt: int, error: BaseException) -> float:
    """Return the delay after ``failures`` consecutive failures (from 1): the server's, else doubled each time."""
    wish = error.headers.get("Retry-After", "") if isinstance(error, urllib.error.HTTPError) else ""
    wished = float(wish) if wish.isdigit() else _FIRST_PAUSE_S * 2 ** (attempt - 1)
    return min(wished, _LONGEST_PAUSE_S)


def _json(url: str, pause: Callable[[float], None]) -> dict[str, Any]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with ask(url, {"Accept": "application/json"}) as answer:
                text = answer.read(_ANSWER_CAP_BYTES)
            break
        except PASSING as error:
            if attempt == ATTEMPTS:
                raise FetchError(f"{url} cannot be reached: {error}. Check the network, and try again later") from error
            pause(pause_s(attempt, error))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _unknown(url, "is no JSON") from error
    if not isinstance(document, dict):
        raise _unknown(url, "is no JSON object")
    return document


def _file(base: str, listing: str, row: Any) -> RemoteFile:
    try:
        links = row["links"]
        url = links.get("content") or links["self"]
        kind, _, md5 = row["checksum"].partition(":")
        file = RemoteFile(name=row["key"], size=int(row["size"]), md5=md5.lower(), url=url)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unknown(listing, f"has an entry without key, size, checksum and link ({error})") from error
    if kind != "md5" or not _MD5.fullmatch(file.md5) or file.size < 0:
        raise _unknown(listing, f"gives {row['checksum']!r} and {row['size']!r} bytes for {file.name!r}")
    _check_link(base, url)
    return file


def _check_link(base: str, link: str) -> None:
    """Refuse links that lead anywhere but to the web: a listing must not make this program read local files."""
    scheme = urllib.parse.urlsplit(link).scheme
    if scheme != "https" and not (scheme == "http" and urllib.parse.urlsplit(base).scheme == "http"):
        raise FetchError(f"{base} names the link {link!r}: expected https")


def _unknown(url: str, what: str) -> FetchError:
    return FetchError(f"{url} {what}: expected the REST API of B2SHARE; is --url right?")
