"""
ELOG (elog.psi.ch), through the forms that its own command-line client and the library py_elog send (extra "notebook").

An entry is submitted as multipart/form-data to the logbook's address; the answer's ``Location`` ends in its number. An
entry is read as text by ``NUMBER?cmd=download``: lines ``Name: value``, a line of 40 equals signs, then the text. When
an entry is edited, attributes and attachments that are not sent again are removed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from emwatch.notebooks.registry import NotebookAwayError, NotebookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emwatch.notebooks.registry import NotebookEntry

_TIMEOUT_S: Final = 20
_MOST_FOUND: Final = 20
_MOST_BYTES: Final = 8 << 20  #: of an answer; what comes after it is not read
_RULE: Final = "=" * 40
_ERROR_CELL: Final = re.compile(r'<td[^>]*class="errormsg"[^>]*>(.*?)</td>', re.DOTALL | re.IGNORECASE)
_LOGIN_FORM: Final = re.compile(r"name=['\"]?form1|type=['\"]?password", re.IGNORECASE)
#: elogd stores an attachment under its time and name.
_STORED_NAME: Final = re.compile(r"(?:.*/)?\d{6}_\d{6}_(.+)")
#: Said of an entry by elogd itself; not attributes that can be sent.
_NO_ATTRIBUTES: Final = frozenset({"$@MID@$", "Date", "Attachment", "Encoding", "Reply to", "In reply to", "Locked by"})


class _Answer(NamedTuple):
    text: str
    location: str


class _Stored(NamedTuple):
    """An entry as the server keeps it."""

    attributes: dict[str, str]
    attachments: list[str]
    text: str


def connect(url: str, token: str) -> Elog:
    """
    Return the logbook at ``url``, such as ``https://HOST:8080/SEM/?Type=Routine``.

    What stands behind the question mark are attributes that the logbook asks for. ``token`` is ``USER:PASSWORD``.
    """
    scheme, place, path, query, _ = urlsplit(url)
    logbook = path.rstrip("/").rpartition("/")[2]
    if not logbook:
        raise NotebookError(f"{url} names no logbook: expected https://HOST:8080/LOGBOOK/")
    user, _, password = token.partition(":")
    return Elog(urlunsplit((scheme, place, path.rstrip("/") + "/", "", "")), user, password, dict(parse_qsl(query)))


class Elog:
    """One logbook; an entry is found again by its key, which stands in its text."""

    def __init__(self, url: str, user: str, password: str, attributes: Mapping[str, str]) -> None:
        self._url = url
        self._name = url.rstrip("/").rpartition("/")[2]  #: of the logbook, as it stands in addresses
        self._user, self._password = user, password
        self._attributes = {"Author": user or "emwatch", **attributes}
        self._session = requests.Session()
        self._is_logged_in = False

    def put(self, entry: NotebookEntry) -> str:
        """Write an entry, or bring the one with its key up to date. Returns its address."""
        if not self._is_logged_in:
            self._log_in()
        found = self._found(entry.key)
        number, stored = found if found is not None else (None, _Stored({}, [], ""))
        form = stored.attributes | self._attributes | {"Subject": f"{entry.title} [{entry.key}]"}
        fields = {re.sub(r"[^0-9A-Za-z]", "_", name): value for name, value in form.items()}
        fields |= {"cmd": "Submit", "exp": unquote(self._name), "Encoding": "HTML"}
        if number is not None:
            fields |= {"edit_id": str(number), "skiplock": "1"}
        names = {each.name for each in entry.attachments}
        kept = [each for each in stored.attachments if _shown_name(each) not in names]
        fields |= {f"attachment{index}": each for index, each in enumerate(kept)}
        files: dict[str, Any] = {"Text": (None, f"{entry.body_html}\n<p>{entry.key}</p>")}
        for index, each in enumerate(entry.attachments, start=1):
            files[f"attfile{index}"] = (each.name, each.content)
        answer = self._asked("POST", self._url, data=fields, files=files)
        made = urlsplit(answer.location).path.rpartition("/")[2]
        if not made.isdecimal():
            raise NotebookError(f"{self._url} took an entry and did not say which: expected its number in Location")
        return urljoin(self._url, made)

    def _log_in(self) -> None:
        """Log in as a browser does; a logbook without users ignores it."""
        self._asked("POST", self._url, data={"uname": self._user, "upassword": self._password, "redir": ""})
        self._is_logged_in = True

    def _found(self, key: str) -> tuple[int, _Stored] | None:
        """Return the entry that holds a key; the oldest, if a break made two."""
        query = {"subtext": key, "mode": "summary", "reverse": "0", "npp": str(_MOST_FOUND)}
        page = self._asked("GET", self._url, params=query).text
        numbers = {int(each) for each in re.findall(rf"""href=["'][^"']*?\b{re.escape(self._name)}/(\d+)["'?]""", page)}
        for number in sorted(numbers):
            stored = _parsed(self._asked("GET", f"{self._url}{number}", params={"cmd": "download"}).text)
            if stored is not None and key in stored.text:
                return number, stored
        return None

    def _asked(self, method: str, url: str, **request: Any) -> _Answer:
        """Return an answer; raises `NotebookError` for a refusal, which elogd says in a page, often with status 200."""
        try:
            with self._session.request(
                method, url, timeout=_TIMEOUT_S, allow_redirects=False, stream=True, **request
            ) as answer:
                content = answer.raw.read(_MOST_BYTES, decode_content=True)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise NotebookError(f"{url}: {error}; expected https://HOST:8080/LOGBOOK/") from error
        except (requests.RequestException, HTTPError) as error:
            raise NotebookAwayError(f"{self._url} does not answer: {error}") from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise NotebookAwayError(f"{self._url} answers {answer.status_code} {answer.reason}")
        text, location = content.decode("utf-8", "replace"), answer.headers.get("Location", "")
        refused = _ERROR_CELL.search(text)
        if refused is not None:
            said = " ".join(re.sub(r"<[^>]*>", " ", refused[1]).split())
            raise NotebookError(
                f"{self._url} refuses: {said}; attributes that it asks for go behind '?' in the address"
            )
        if "fail" in urlsplit(location).query or _LOGIN_FORM.search(text):
            raise NotebookError(f"{self._url} refuses the user or password: the token is USER:PASSWORD")
        moved = urljoin(url, location)
        if urlsplit(moved)[:2] != urlsplit(url)[:2]:
            raise NotebookError(f"{self._url} points to {moved}; is this the address now? Nothing was sent there")
        if answer.status_code >= 400:
            raise NotebookError(f"{self._url} answers {answer.status_code} {answer.reason}")
        return _Answer(text, location)


def _parsed(downloaded: str) -> _Stored | None:
    """Return an entry from its text; ``None`` if it is none."""
    head, rule, text = downloaded.replace("\r\n", "\n").partition(f"\n{_RULE}\n")
    if not rule:
        return None
    said = dict(line.split(": ", 1) for line in head.split("\n") if ": " in line)
    attachments = [each for each in said.get("Attachment", "").split(",") if each]
    return _Stored({name: each for name, each in said.items() if name not in _NO_ATTRIBUTES}, attachments, text)


def _shown_name(stored: str) -> str:
    """Return the name under which an attachment was sent."""
    match = _STORED_NAME.fullmatch(stored)
    return match[1] if match else stored
