"""eLabFTW, through its API version 2 and the library that its makers publish (extra "notebook")."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import elabapi_python
from elabapi_python.rest import ApiException
from urllib3.exceptions import HTTPError

from emwatch.notebooks.registry import NotebookAwayError, NotebookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emwatch.notebooks.registry import Attachment, NotebookEntry

_TIMEOUT_S: Final = 20
_KIND: Final = "experiments"
_MOST_FOUND: Final = 100


def connect(url: str, token: str) -> ELabFTW:
    """Return the notebook at ``url``, such as ``https://elab.example/api/v2``."""
    if not token.isascii():  # a header of others cannot be sent, and the library would show it
        raise NotebookError("the notebook's token is no API key of eLabFTW: it has letters beyond ASCII")
    settings = elabapi_python.Configuration()
    settings.host = url.rstrip("/")
    settings.logger["urllib3_logger"].setLevel(logging.ERROR)  # what fails in the end is said once, here
    client = elabapi_python.ApiClient(settings)
    # Threads for requests at a time, of which there are none here: ended late, they complain about a closed pipe.
    client.pool.close()
    client.pool.join()
    client.set_default_header("Authorization", token)
    return ELabFTW(settings.host, client)


class ELabFTW:
    """Each entry is an experiment, found again by its key in the title."""

    def __init__(self, host: str, client: Any) -> None:
        self._host = host
        self._experiments = elabapi_python.ExperimentsApi(client)
        self._uploads = elabapi_python.UploadsApi(client)

    def put(self, entry: NotebookEntry) -> str:
        """Write an experiment, or bring the one with its key up to date. Returns its address."""
        found = self._found(entry.key)
        number = self._made() if found is None else found
        title = f"{entry.title} [{entry.key}]"
        try:
            self._asked(self._experiments.patch_experiment, {"title": title, "body": entry.body_html}, number)
        except NotebookError:
            if found is None:  # it has no key yet: the next post would not find it, and make one more
                with suppress(NotebookError):
                    self._asked(self._experiments.delete_experiment, number)
            raise
        there = {str(each.get("real_name")): each for each in self._read(self._uploads.read_uploads, _KIND, number)}
        for each in entry.attachments:
            self._attach(number, each, there.get(each.name))
        return f"{self._host.removesuffix('/api/v2')}/experiments.php?mode=view&id={number}"

    def _found(self, key: str) -> int | None:
        """Return the experiment with a key in its title; the oldest, if a break made two."""
        found = self._read(self._experiments.read_experiments, q=key, limit=_MOST_FOUND)
        numbers = [int(each["id"]) for each in found if f"[{key}]" in str(each.get("title", ""))]
        return min(numbers, default=None)

    def _made(self) -> int:
        answer = self._asked(self._experiments.post_experiment, body={})
        number = str(answer.headers.get("Location", "")).rstrip("/").rpartition("/")[2]
        if not number.isdecimal():
            raise NotebookError(
                f"{self._host} made an experiment and did not say which: expected its number in Location"
            )
        return int(number)

    def _attach(self, number: int, attachment: Attachment, there: dict[str, Any] | None) -> None:
        if there is not None and there.get("hash") == hashlib.sha256(attachment.content).hexdigest():
            return
        with tempfile.TemporaryDirectory(prefix="emwatch-") as folder:
            file = Path(folder) / attachment.name  # the library takes the name from the path
            file.write_bytes(attachment.content)
            said = {"file": str(file), "comment": attachment.about}
            if there is None:
                self._asked(self._uploads.post_upload, _KIND, number, **said)
            else:
                self._asked(self._uploads.post_upload_replace, _KIND, number, int(there["id"]), **said)

    def _read(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> list[dict[str, Any]]:
        answer = self._asked(call, *arguments, **named)
        try:
            found = json.loads(answer.data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(
            isinstance(each, dict) and _is_number(each.get("id")) for each in found
        ):
            raise NotebookError(
                f"{self._host} is no eLabFTW API: expected a list of experiments or files as JSON, as at https://HOST/api/v2"
            )
        return found

    def _asked(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named, _preload_content=False, _request_timeout=_TIMEOUT_S)
        except ApiException as error:
            away = error.status is None or error.status >= 500 or error.status == 429
            kind = NotebookAwayError if away else NotebookError
            hint = "; is the token right, and may it write?" if error.status in {401, 403} else ""
            raise kind(f"{self._host} answers {error.status} {error.reason}{hint}") from error
        except (HTTPError, OSError) as error:
            raise NotebookAwayError(f"{self._host} does not answer: {error}") from error


def _is_number(value: object) -> bool:
    return (isinstance(value, int) and value > 0) or (isinstance(value, str) and value.isdecimal())
