"""The keys of the configuration: frozen models; with their defaults emwatch needs only a watched directory."""

from __future__ import annotations

import ipaddress
import os
import re
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import parse_qs, urlsplit

import platformdirs
from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from emwatch.alerts.policy import Policy
from emwatch.alerts.registry import AnyChannel
from emwatch.alerts.secrets import Secret
from emwatch.alerts.terminal import TerminalSettings
from emwatch.errors import ConfigError
from emwatch.foreign_file import read_bounded
from emwatch.frame import path_to_text
from emwatch.session_rules import SessionRules, folder_pattern
from emwatch.settings import NAME_PATTERN, Name, Number, OneOrMany, OnePathOrMany, Section, Text
from emwatch.targets.conditions import TargetConfig
from emwatch.targets.rules import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from emwatch.alerts.alert import Alert
    from emwatch.alerts.channel import Channel, ChannelSettings


class TroubleConfig(Section):
    """
    When trouble is told. A directory that is gone and a ledger that cannot be written are always told.

    Attributes:
        no_frame_minutes: no new frame for so long while a session is open; ``None``: never told.
        disk_free_mb: less space than this is left on the ledger's disk.
        backlog_files: at least so many files wait to be read, for ``backlog_minutes``; ``None``: never told.
        channel_down_minutes: a channel takes nothing for so long.

    """

    no_frame_minutes: Annotated[Number, Field(gt=0, le=100_000)] | None = None
    disk_free_mb: Annotated[Number, Field(ge=0, le=1e9)] = 500.0
    backlog_files: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    backlog_minutes: Annotated[Number, Field(ge=0, le=100_000)] = 10.0
    channel_down_minutes: Annotated[Number, Field(gt=0, le=100_000)] = 30.0


#: Names that are never frames: hidden files, downloads and copies under way, what Office, Windows and Synology leave.
DEFAULT_EXCLUDE: Final = (".*", "*.tmp", "*.part", "*.crdownload", "~$*", "Thumbs.db", "desktop.ini", "@eaDir")
_SERVER_EXAMPLE: Final = "postgresql+psycopg://USER@HOST/DATABASE"
_LONGEST_TOKEN_FILE_BYTES: Final = 65_536
_SHORTEST_TOKEN: Final = 16

_Globs = Annotated[tuple[Text, ...], OneOrMany]


class WatchConfig(Section):
    """The acquisition directory and how it is looked at."""

    directory: Annotated[tuple[Path, ...], OnePathOrMany] = ()
    instrument: Annotated[tuple[Name, ...], OneOrMany] = ()
    mode: Literal["auto", "events", "poll"] = "auto"
    recursive: bool = True
    include: _Globs = ("*",)
    exclude: _Globs = DEFAULT_EXCLUDE
    catch_up: Literal["all", "new"] = "all"
    settle_seconds: Annotated[Number, Field(ge=0, le=3600)] | None = None
    sweep_seconds: Annotated[Number, Field(gt=0, le=86400)] | None = None
    patience_seconds: Annotated[Number, Field(ge=0, le=86400)] = 60.0
    max_depth: Annotated[int, Field(ge=0, le=100)] = 16
    max_frame_mb: Annotated[int, Field(ge=1, le=65536)] = 256
    read_seconds: Annotated[Number, Field(gt=0, le=3600)] = 20.0
    read_memory_mb: Annotated[int, Field(ge=128, le=1048576)] = 2048
    data_bar: Literal["auto", "never"] = "auto"

    @model_validator(mode="after")
    def _an_instrument_for_each_directory(self) -> WatchConfig:
        if len(self.instrument) > 1 and len(self.instrument) != len(self.directory):
            raise ValueError(
                f"instrument: expected one name, or {len(self.directory)}: one for each directory, in this order; "
                f"there are {len(self.instrument)}"
            )
        return self


def default_ledger_path(environ: Mapping[str, str] | None = None) -> Path:
    """Return the default path of the ledger: in systemd's state directory, else in the user's."""
    given = (os.environ if environ is None else environ).get("STATE_DIRECTORY", "")
    # systemd joins several directories with colons; the first is ours (systemd.exec(5)).
    first = given.split(":")[0]
    return Path(first or platformdirs.user_state_dir("emwatch", appauthor=False)) / "ledger.sqlite3"


def _folder_rule(rule: str) -> str:
    folder_pattern(rule)
    return rule


#: Parameters of libpq that hold a secret, not the name of a file with one.
_SECRET: Final = re.compile(r"password|secret|scram_\w+_key", re.IGNORECASE)


def server_url(url: str) -> str:
    """Return the address of a server; it goes into messages. Raises `ValueError` for none, or for one with a password."""
    try:
        parts = urlsplit(url)
        port, password = parts.port, parts.password
    except ValueError:  # its words may hold a part of a password
        raise ValueError(f"is no address; expected {_SERVER_EXAMPLE}") from None
    if password is not None or any(_SECRET.search(name) for name in parse_qs(parts.query, keep_blank_values=True)):
        raise ValueError(
            "holds a password, which would stand in logs: leave it out, and write `server_password: {file: PATH}`, "
            "{env: VARIABLE} or {credential: NAME}"
        )
    known = parts.scheme in {"postgresql", "postgresql+psycopg"} and url.isprintable() and parts.netloc[-1:] != ":"
    if not known or not parts.path.strip("/") or port == 0 or not (parts.hostname or parse_qs(parts.query).get("host")):
        raise ValueError(f"is no address; expected {_SERVER_EXAMPLE}")
    return url


class LedgerConfig(Section):
    """The session log."""

    path: Path = Field(default_factory=default_ledger_path)
    session_gap_minutes: Annotated[Number, Field(gt=0, le=100000)] = 120.0
    session_folders: Annotated[Text, AfterValidator(_folder_rule)] | None = None
    backup_directory: Path | None = None
    backup_every_hours: Annotated[Number, Field(ge=0, le=10000)] = 24.0
    backup_keep: Annotated[int, Field(ge=1, le=1000)] = 7
    server: Annotated[Text, AfterValidator(server_url)] | None = None
    server_password: Secret | None = None

    @model_validator(mode="after")
    def _a_password_for_a_server(self) -> LedgerConfig:
        if self.server_password is not None and self.server is None:
            raise ValueError("server_password: is given without `server`, whose password it is")
        return self

    def read_server_password(self) -> str:
        """Return the password of the server, "" if libpq finds it by itself (.pgpass). Raises `AlertError`."""
        return "" if self.server_password is None else self.server_password.read()

    @property
    def backups(self) -> Path:
        """The directory of the backups: beside the ledger unless configured."""
        return self.backup_directory or self.path.parent / "backups"


class ModelConfig(Section):
    """The classifier; no bundle means the activated one, at first the one that comes with emwatch."""

    bundle: Path | None = None
    engine: Literal["litert", "keras", "stub"] = "litert"
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    views: int = 1
    doubt_by_scale: bool = True

    @field_validator("views")
    @classmethod
    def _one_or_five(cls, views: int) -> int:
        if views not in {1, 5}:
            raise ValueError("expected 1 or 5")
        return views


class AlertsConfig(Section):
    """The channels by name, the highest age of a frame that raises an alert, and limits on the number of alerts."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AnyChannel] = Field(init=False)

    max_age_days: Annotated[Number, Field(gt=0, le=36500)] = 3.0
    policy: Policy = Policy()
    trouble: TroubleConfig = TroubleConfig()

    @model_validator(mode="after")
    def _names_that_can_be_printed(self) -> AlertsConfig:
        for name in self.__pydantic_extra__:
            if re.fullmatch(NAME_PATTERN, name) is None:
                raise ValueError(f"the channel name {name!r} must have 1 to 80 printable characters")
        if (further := self.policy.escalate_to) is not None and further not in self.channels:
            raise ValueError(f"policy.escalate_to: no channel is called {further!r}; channels stand beside `policy:`")
        return self

    @property
    def channels(self) -> Mapping[str, ChannelSettings]:
        """The channels by name; ``terminal`` is always there."""
        return MappingProxyType({"terminal": TerminalSettings(), **self.__pydantic_extra__})

    def open_channels(self, show: Callable[[Alert], None]) -> dict[str, Channel]:
        """Return every channel, ready to send, by name; ``show`` displays an alert in the terminal."""
        return {name: settings.open(show) for name, settings in self.channels.items()}

    @property
    def max_age(self) -> timedelta:
        """The age from which a frame raises no alert."""
        return timedelta(days=self.max_age_days)


class WebConfig(Section):
    """The local page of `emwatch serve`, or of the daemon itself if ``serve`` is true."""

    serve: bool = False
    host: Text = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8754
    names: Annotated[tuple[Text, ...], OneOrMany] = ()
    token_file: Path | None = None
    ask_per_minute: Annotated[int, Field(ge=0, le=6000)] = 30

    def read_token(self) -> str:
        """
        Return the token that a browser on another machine must know, "" if none is configured.

        Raises `ConfigError` if the file cannot be read, or is empty: the page would be open to everybody.
        """
        if self.token_file is None:
            return ""
        try:
            token = read_bounded(self.token_file, _LONGEST_TOKEN_FILE_BYTES).decode("utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"web.token_file: {self.token_file}: cannot be read as text: {error}") from error
        if not token:
            raise ConfigError(f"web.token_file: {self.token_file}: is empty; write a token into it")
        return token

    def trouble(self) -> str:
        """Return why this machine would not serve the page with the daemon, "" if it would, or need not."""
        if not self.serve:
            return ""
        try:
            self.token_to_serve_with()
        except ConfigError as error:
            return str(error)
        return "" if page_is_installed() else "web.serve: the page needs the web extra: pip install 'emwatch[web]'"

    def token_to_serve_with(self) -> str:
        """
        Return the token of the page, "" if only this machine can reach it and none is configured.

        Raises `ConfigError` if other machines could reach the page without one, and as `read_token` does.
        """
        token = self.read_token()
        if len(token) < _SHORTEST_TOKEN and not _is_loopback(self.host):
            raise ConfigError(
                f"web.host: {self.host} can be reached from other machines, and there is no token: write web.token_file, "
                f"the path of a file with at least {_SHORTEST_TOKEN} characters; or write web.host: 127.0.0.1"
            )
        return token


def page_is_installed() -> bool:
    """Return whether the extra that serves the page is there."""
    return all(find_spec(each) is not None for each in ("flask", "waitress"))


def _is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address; a name other than ``localhost`` is taken for reachable."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class LogConfig(Section):
    """The log of the daemon on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Config(Section):
    """The whole configuration."""

    watch: WatchConfig = WatchConfig()
    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    model: ModelConfig = ModelConfig()
    targets: tuple[TargetConfig, ...] = ()
    alerts: AlertsConfig = AlertsConfig()
    web: WebConfig = WebConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _nothing_is_written_to_watched_directories(self) -> Config:
        for name, channel in self.alerts.channels.items():
            folder = channel.written_folder()
            # Only if there is one: a share that hangs must not hang every command that loads the configuration.
            if folder is not None and any(
                Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(each)) for each in self.watch.directory
            ):
                raise ValueError(
                    f"alerts.{name}: {path_to_text(folder)} is in a watched directory, which is never written to; "
                    "name a folder outside it"
                )
        return self

    def watched_directories(self) -> tuple[Path, ...]:
        """
        Return the directories to watch.

        Raises:
            ConfigError: none is configured; the message says what to write.

        """
        if not self.watch.directory:
            raise ConfigError(
                "watch.directory: no acquisition directory is given. Name it on the command line, "
                "set EMWATCH_WATCH_DIRECTORY, or write it in a configuration file, "
                "which is that of `emwatch init`, or of --config FILE:\n"
                "watch:\n"
                "  directory: /path/to/the/acquisition/directory"
            )
        return self.watch.directory

    def session_rules(self) -> SessionRules:
        """Return of which session a frame is."""
        directories, names = self.watch.directory, self.watch.instrument
        named = names if len(names) > 1 else (names or ("",)) * len(directories)
        return SessionRules(
            timedelta(minutes=self.ledger.session_gap_minutes),
            tuple(zip(directories, named, strict=True)),
            self.ledger.session_folders or "",
        )

    def wanted(self) -> tuple[Target, ...]:
        """Return the targets as the pipeline uses them."""
        return tuple(map(Target, self.targets))
