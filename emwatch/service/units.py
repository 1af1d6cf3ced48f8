"""The units of systemd: the shipped ones made to fit an installation, and the steps that install and remove them."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from emwatch.errors import EmwatchError
from emwatch.filesystem import real_path
from emwatch.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Loaded

#: The first line of a unit that `emwatch service install` wrote and may replace.
MARK: Final = "# Written by `emwatch service install`, and replaced by it. Change it with `systemctl edit`."
_PROGRAM: Final = "/opt/emwatch/bin/emwatch"
_CONFIG: Final = "/etc/emwatch/config.yaml"
_DOCUMENTATION: Final = "file:///usr/share/doc/emwatch/"
#: What a service may always write to; a user's own may write wherever its user may.
_OF_THE_SERVICE: Final = (Path("/var/lib/emwatch"), Path("/var/cache/emwatch"))
_INSTANCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: What a user's own systemd may not do without privileges (systemd.exec(5)), and targets that it does not have.
_NOT_FOR_USERS: Final = re.compile(
    r"(User|Group|After|StateDirectory|StateDirectoryMode|CacheDirectory|CacheDirectoryMode|CapabilityBoundingSet|Private\w+"
    r"|Protect\w+|RemoveIPC|#ReadOnlyPaths)="
)


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class Command:
    """Run a program; ``may_fail``: what it would do may be done already."""

    argv: tuple[str, ...]
    may_fail: bool = False


Step = Write | Remove | Command


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A unit of this installation.

    Attributes:
        scope: of the machine, or of the user who asks.
        page: the page instead of the daemon.
        instance: a name, for several instruments on one PC; "" if there is one.
        config: the configuration file; ``None`` for the usual place.
        root: the tree to install into instead of the running system, as for an image.
        program: how emwatch is started.
        written: folders outside the service's own that the configuration has it write to; see `written_elsewhere`.

    """

    scope: Literal["system", "user"] = "system"
    page: bool = False
    instance: str = ""
    config: Path | None = None
    root: Path | None = None
    program: str = ""
    written: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a name that is none. Raises `EmwatchError`."""
        if self.instance and _INSTANCE.fullmatch(self.instance) is None:
            raise EmwatchError(f"{self.instance!r} cannot name a service: use letters, digits, '.', '_' and '-'")
        if self.instance and self.config is not None and self.config.name != f"{self.instance}.yaml":
            raise EmwatchError(
                f"{self.config}: instances share one unit file, which finds the configuration of each by its name: call "
                f"this one {self.instance}.yaml"
            )

    @property
    def name(self) -> str:
        """The name that systemctl takes."""
        return f"{self._stem}@{self.instance}.service" if self.instance else f"{self._stem}.service"

    @property
    def _stem(self) -> str:
        return "emwatch-page" if self.page else "emwatch"

    @property
    def file(self) -> Path:
        """Where the unit file lies."""
        name = f"{self._stem}@.service" if self.instance else self.name
        return self._folder / name

    @property
    def packaged(self) -> Path:
        """Where the distribution's package has its unit file; one in `file` comes before it."""
        return Path(f"{self.root or ''}/usr/lib/systemd/system") / self.file.name

    def found(self) -> Path | None:
        """Return the unit file that systemd reads; ``None`` if there is none."""
        places = (self.file, self.packaged) if self.scope == "system" else (self.file,)
        return next((each for each in places if each.is_file()), None)

    @property
    def _folder(self) -> Path:
        if self.scope == "user":
            return _user_configuration() / "systemd" / "user"
        return Path(f"{self.root or ''}/etc/systemd/system")

    @property
    def config_file(self) -> Path:
        """The configuration that the service reads."""
        if self.config is not None:
            return self.config.absolute()
        folder = _user_configuration() / "emwatch" if self.scope == "user" else Path("/etc/emwatch")
        return folder / f"{self.instance or 'config'}.yaml"

    def text(self) -> str:
        """Return the unit file."""
        text = shipped(f"systemd/{self._stem}.service").read_text(encoding="utf-8")
        if self.instance:
            text = for_instances(text)
        if self.scope == "user":
            text = for_user(text)
        config = self.config_file.with_name("%i.yaml") if self.instance else self.config_file
        text = text.replace(for_instances(_CONFIG) if self.instance else _CONFIG, _quoted(os.fspath(config)))
        text = text.replace(_DOCUMENTATION, f"file://{shipped('docs')}/".replace("%", "%%"))
        return f"{MARK}\n{text.replace(_PROGRAM, self.program or program())}"

    @property
    def drop_in(self) -> Path:
        """Where what this configuration needs beyond the unit is written; a drop-in of `systemctl edit` stays beside it."""
        return self._folder / f"{self.name}.d" / "emwatch-writes.conf"

    def drop_in_text(self) -> str:
        """Return the drop-in: the folders that may be written, although all else is read-only; "" if there are none."""
        if not self.written or self.scope == "user":
            return ""
        # A disk that is not there must not keep the service from starting: the dash.
        places = "".join(f"ReadWritePaths={_quoted_path(f'-{each}')}\n" for each in self.written)
        return f"{MARK}\n[Service]\n{places}"

    def manager(self, *words: str) -> Command:
        """Return a call of systemctl."""
        where = ("--user",) if self.scope == "user" else (f"--root={self.root}",) if self.root else ()
        return Command(("systemctl", *where, *words))


def program() -> str:
    """Return how this installation is started, as ExecStart= takes it."""
    script = Path(sys.executable).with_name("emwatch")
    return _quoted(os.fspath(script)) if script.is_file() else f"{_quoted(sys.executable)} -m emwatch"


def closed_to_others(path: Path) -> Path | None:
    """Return the first folder on the way to a program, links followed, that other users may not enter; ``None``: they may."""
    for place in (path, real_path(path)):
        for folder in reversed(place.parents):
            if folder.exists() and not folder.stat().st_mode & 0o001:
                return folder
    return None


def for_instances(text: str) -> str:
    """Return a unit for several instruments: each has its own configuration, state and pictures, by its name."""
    text = text.replace(_CONFIG, "/etc/emwatch/%i.yaml")
    text = re.sub(r"^(StateDirectory|CacheDirectory)=emwatch$", r"\1=emwatch/%i", text, flags=re.MULTILINE)
    return re.sub(r"^(Description=\S+)", r"\1 %i", text, flags=re.MULTILINE).replace(
        "Description=emwatch: %i", "Description=emwatch %i:"
    )


def for_user(text: str) -> str:
    """Return a unit for a user's own systemd, without what that has no right to."""
    kept: list[str] = []
    comments: list[str] = []
    for line in text.splitlines():
        if _NOT_FOR_USERS.match(line):
            comments = []  # they explain what is left out
        elif line.startswith("#"):
            comments.append(line)
        else:
            kept += [*comments, line]
            comments = []
    return "\n".join(kept).replace("WantedBy=multi-user.target", "WantedBy=default.target") + "\n"


def to_install(unit: Unit, *, force: bool = False, user_exists: bool = True, start: bool = True) -> Iterator[Step]:
    """
    Return the steps that install a unit, or bring it up to date. A package's unit that does the same is preferred.

    Raises:
        EmwatchError: there is a unit file that somebody else wrote, or that another instance needs as it is, and ``force``
            is not given.

    """
    text = unit.text()
    found = _read(unit.file)
    if found is not None and not force and not found.startswith(MARK) and found != text:
        raise EmwatchError(
            f"{unit.file}: was not written by `emwatch service install`; look at it, then replace it with --force"
        )
    if found is not None and not force and unit.instance and _others(unit) and _started(found) != _started(text):
        raise EmwatchError(
            f"{unit.file}: starts other instances with {_started(found)}: put {unit.config_file.name} into the same folder, or "
            "replace it for all of them with --force"
        )
    if unit.scope == "system" and not user_exists and unit.root is None:
        home = ("--home-dir", "/var/lib/emwatch", "--shell", "/usr/sbin/nologin")
        yield Command(("useradd", "--system", *home, "emwatch"))
    yield from _drop_in(unit)
    packaged = unit.scope == "system" and instructions(_read(unit.packaged) or "") == instructions(text)
    if packaged and found is not None:
        yield Remove(unit.file)
    elif not packaged and found != text:
        yield Write(unit.file, text)
    if unit.root is None:
        yield unit.manager("daemon-reload")
    if start and unit.root is None:
        yield unit.manager("enable", unit.name)
        yield unit.manager("restart", unit.name)
    else:
        yield unit.manager("enable", unit.name)


def _drop_in(unit: Unit) -> Iterator[Step]:
    found, wanted = _read(unit.drop_in), unit.drop_in_text()
    if wanted and found != wanted:
        yield Write(unit.drop_in, wanted)
    elif not wanted and (found or "").startswith(MARK):
        yield Remove(unit.drop_in)


def written_elsewhere(loaded: Loaded, instance: str = "") -> tuple[Path, ...]:
    """
    Return the folders that a configuration has the daemon write to, and that the machine's unit leaves read-only.

    What lies in the home of the user who asks is left out: the service has another one, its state directory.
    """
    config = loaded.config
    places = [config.ledger.path.parent] if loaded.origins["ledger.path"].kind != "default" else []
    places += [config.ledger.backup_directory] if config.ledger.backup_directory is not None else []
    places += [folder for each in config.alerts.channels.values() if (folder := each.written_folder()) is not None]
    own = [Path.home(), *(each / instance for each in _OF_THE_SERVICE)]
    return tuple(dict.fromkeys(each for each in places if not any(each.is_relative_to(one) for one in own)))


def to_uninstall(unit: Unit) -> Iterator[Step]:
    """Return the steps that remove a unit. The configuration, the ledger and the user stay."""
    stop = unit.manager("disable", unit.name) if unit.root else unit.manager("disable", "--now", unit.name)
    yield Command(stop.argv, may_fail=True)
    if (_read(unit.drop_in) or "").startswith(MARK):
        yield Remove(unit.drop_in)
    if unit.file.exists() and not (unit.instance and _others(unit)):
        yield Remove(unit.file)
    if unit.root is None:
        yield unit.manager("daemon-reload")


def instructions(text: str, *, without: tuple[str, ...] = ()) -> list[str]:
    """Return what a unit file tells systemd: no comments, no documentation, and no lines that begin with ``without``."""
    return [line for line in text.splitlines() if line and not line.startswith(("#", "Documentation=", *without))]


def _others(unit: Unit) -> bool:
    """Return whether another instance is enabled, which needs the same file."""
    stem = unit.file.name.removesuffix(".service")
    links = unit.file.parent.glob(f"*.target.wants/{stem}*.service")
    return any(each.name != unit.name for each in links)


def _started(text: str) -> str:
    """Return the configuration that a unit file names."""
    found = re.search(r"^ExecStart=.*(--config .+)$", text, flags=re.MULTILINE)
    return found[1] if found else "another command"


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _quoted(path: str) -> str:
    r"""Quote a path for ExecStart= (systemd.service(5)): blanks, ``%`` and ``$`` mean something there."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    escaped = re.sub(r"%(?!i\.yaml$)", "%%", escaped)
    return f'"{escaped}"' if re.search(r"[\s'\"\\]", escaped) else escaped


def _quoted_path(path: str) -> str:
    """Quote a path for a list of paths such as ReadWritePaths= (systemd.exec(5)): only ``%`` is escaped there."""
    escaped, quote = path.replace("%", "%%"), "'" if '"' in path else '"'
    return f"{quote}{escaped}{quote}" if re.search(r"[\s'\"]", escaped) else escaped


def _user_configuration() -> Path:
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(given) if given.startswith("/") else Path.home() / ".config"
