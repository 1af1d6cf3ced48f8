"""What a person who helps from afar needs to know: facts in a ZIP file, without secrets, and without names of files."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import socket
import sqlite3
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emwatch import __version__
from emwatch.alerts.secrets import HIDDEN, hushed
from emwatch.errors import AlertError, ConfigError, LedgerError
from emwatch.escape import escaped
from emwatch.filesystem import real_path
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.ledger.sqlite_file import connect_to_read, must_be_there
from emwatch.service.doctor import Machine, examine
from emwatch.service.status import status_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from emwatch.config import Config, Loaded

#: A shorter text is hidden in the configuration, but not looked for elsewhere: it would be found in every other word.
_SHORTEST: Final = 6
#: Words that stand in channels and everywhere else.
_HARMLESS: Final = frozenset({"emwatch", "terminal", *CATEGORIES})
_MOST_SECRET_BYTES: Final = 4096
_LOG_LINES: Final = 500
_JOURNAL: Final = (
    "journalctl",
    "--no-pager",
    "--no-hostname",
    "--output=short-iso",
    f"--lines={_LOG_LINES}",
    "--unit=emwatch",
)
_HOMES: Final = re.compile(r"/home/[^/\s\"']+")
_LOGIN: Final = re.compile(r"://([^\s/@]+)@")
#: What follows a watched directory: names of frames, up to what ends them in a message.
_NAMES: Final = re.compile(r"(<directory \d+>)/[^\n\":;,]+")


@dataclass(frozen=True, slots=True)
class BundlePart:
    """A file of the bundle, and what it holds in one line."""

    name: str
    about: str
    text: str


def support_parts(
    loaded: Loaded, now: datetime, *, with_paths: bool = False, journal: Sequence[str] = _JOURNAL
) -> list[BundlePart]:
    """
    Return the files of a support bundle.

    ``with_paths``: leave names of folders and files as they are. ``journal``: the program that prints the last log lines.
    """
    config = loaded.config
    redact = Redaction(config, with_paths=with_paths)
    log = _log(journal)
    parts = [
        BundlePart(
            "configuration.json", "every key, its value and where it is from; channels without their values", ""
        ),
        BundlePart("status.json", "the state of the daemon, as `emwatch status --json`", ""),
        BundlePart("doctor.json", "what is wrong, as `emwatch doctor --json`", ""),
        BundlePart("versions.json", "emwatch, Python, packages, kernel, processor", ""),
        BundlePart("ledger.json", "tables, indices and numbers of rows; no row", ""),
    ]
    documents: tuple[Any, ...] = (
        _configuration(loaded),
        status_document(config, now),
        examine(config, Machine(now)).document(),
        _versions(),
        _ledger(config.ledger.path),
    )
    made = [
        BundlePart(
            part.name, part.about, json.dumps(redact.value(document), indent=2, ensure_ascii=False, default=str) + "\n"
        )
        for part, document in zip(parts, documents, strict=True)
    ]
    if log:
        made.append(
            BundlePart("log.txt", f"the last {len(log)} lines of the service", redact.text("\n".join(log)) + "\n")
        )
    return made


def parts_without_configuration(error: ConfigError) -> list[BundlePart]:
    """Return what can be told if the configuration cannot be used: why, without the values in it, and the versions."""
    why = re.sub(r"'[^'\n]*'", f"'{HIDDEN}'", str(error))
    return [
        BundlePart(
            "configuration.txt",
            "why the configuration cannot be used, without its values",
            _HOMES.sub("/home/<user>", why) + "\n",
        ),
        BundlePart(
            "versions.json", "emwatch, Python, packages, kernel, processor", json.dumps(_versions(), indent=2) + "\n"
        ),
    ]


class Redaction:
    """
    Takes secrets out of texts: values of channels, contents of files that hold a token, and all of an address but its host.

    Without ``with_paths`` also names of folders, of frames, of the machine and of its users.
    """

    def __init__(self, config: Config, *, with_paths: bool) -> None:
        self._with_paths = with_paths
        self._secrets = sorted((each for each in _secrets(config) if len(each) >= _SHORTEST), key=len, reverse=True)
        self._arguments = list(_arguments(config))
        self._places = [] if with_paths else list(_places(config))

    def text(self, text: str) -> str:
        """Return a text without what is not for others."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = hushed(text, self._arguments)
        if self._with_paths:
            return text
        for place, word in self._places:
            text = text.replace(place, word)
        return _HOMES.sub("/home/<user>", _NAMES.sub(r"\1/...", text))

    def value(self, value: Any) -> Any:
        """Return plain data with every text in it redacted."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each) for each in value]
        if isinstance(value, Path):
            return self.text(path_to_text(value))
        return self.text(value) if isinstance(value, str) else value


def _configuration(loaded: Loaded) -> dict[str, Any]:
    """Return every key; of a channel its kind, and which other keys it has."""
    config = loaded.config
    values: dict[str, Any] = {}
    for key, origin in loaded.origins.items():
        section, _, name = key.partition(".")
        if section == "alerts" and name in config.alerts.channels:
            channel = config.alerts.channels[name].model_dump(mode="python")
            value: Any = {word: each if word == "kind" else _hidden(each) for word, each in channel.items()}
        else:
            part = getattr(config, section)
            value = (
                getattr(part, name) if name else [each.model_dump(mode="python", exclude_none=True) for each in part]
            )
            value = HIDDEN if name.endswith("token_file") and value is not None else value
        values[key] = {"value": value, "origin": origin.kind, "place": str(origin)}
    return {"files": list(loaded.files), "values": values, "warnings": list(loaded.warnings)}


def _hidden(value: Any) -> Any:
    """Return a value of a channel with every text hidden; numbers tell nothing."""
    if isinstance(value, dict):
        return {str(key): _hidden(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float)) else HIDDEN


def _secrets(config: Config) -> Iterator[str]:
    with suppress(ConfigError):
        yield config.web.read_token()
    with suppress(AlertError):
        yield config.ledger.read_server_password()
    for name, channel in config.alerts.channels.items():
        for key, value in channel.model_dump(mode="python").items():
            if key == "kind":
                continue
            for text in _texts(value):
                yield from () if text in {name, *_HARMLESS} else (text,)
                yield from (each for login in _LOGIN.findall(text) for each in login.split(":"))
                yield os.environ.get(text, "") if text.isidentifier() else ""  # the name of a variable that holds it
            if key.endswith("_file") and value is not None:
                yield from _content(Path(str(value)))


def _arguments(config: Config) -> Iterator[str]:
    """Yield the values of channels as a command line would hold them: a key that speaks of a secret before its value."""
    for channel in config.alerts.channels.values():
        for key, value in channel.model_dump(mode="python").items():
            yield from (key, *_texts(value))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif hasattr(value, "get_secret_value"):  # pydantic's
        yield str(value.get_secret_value())
    elif isinstance(value, (str, Path)):
        yield os.fspath(value)


def _content(file: Path) -> Iterator[str]:
    with suppress(OSError, ValueError), file.open(encoding="utf-8") as opened:
        content = opened.read(_MOST_SECRET_BYTES)
        yield from (content.strip(), *content.split())


def _places(config: Config) -> Iterator[tuple[str, str]]:
    """Yield names and what stands for them, the longest first, so that a folder is not named by one above it."""
    found: dict[str, str] = {}
    for number, directory in enumerate(config.watch.directory, 1):
        for path in (directory, real_path(directory)):
            found[os.fspath(path)] = f"<directory {number}>"
    found[os.fspath(config.ledger.backups)] = "<backups>"
    found[os.fspath(config.ledger.path.parent)] = "<ledger>"
    found[os.fspath(Path.home())] = "~"
    found |= dict.fromkeys((socket.gethostname(), *config.web.names), "<host>")
    asked = (*config.watch.include, *config.watch.exclude, *(each for target in config.targets for each in target.path))
    found |= dict.fromkeys((each for each in asked if "/" in each), "<pattern>")
    for place, word in sorted(found.items(), key=lambda each: -len(each[0])):
        if len(place) > 1:
            in_shell = shlex.quote(path_to_text(place)).strip("'")  # as a remedy of the doctor holds it
            yield from ((each, word) for each in {place, path_to_text(place), escaped(place), in_shell})


def _versions() -> dict[str, Any]:
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    return {
        "emwatch": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": _distribution(),
        "processors": os.cpu_count(),
        "packages": dict(sorted((str(name), number) for name, number in packages.items() if name)),
    }


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _ledger(path: Path) -> dict[str, Any]:
    try:
        must_be_there(path)
        with closing(connect_to_read(path)) as connection:
            rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            tables = [name for kind, name, _ in rows if kind == "table"]
            counts = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608 - names from SQLite
            settings = {
                name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "page_size", "page_count")
            }
    except (sqlite3.Error, LedgerError, OSError) as error:
        return {"trouble": str(error)}
    return {"rows": counts, "settings": settings, "schema": [sql for _, _, sql in rows]}


def _log(journal: Sequence[str]) -> list[str]:
    try:
        said = subprocess.run(journal, capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = said.stdout.decode("utf-8", "backslashreplace").splitlines() if said.returncode == 0 else []
    return [line for line in lines if not line.startswith("-- ")][-_LOG_LINES:]
