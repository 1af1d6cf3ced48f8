"""The watched directories: whether they answer, may be read, and how new files would be noticed. Nothing is written there."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import ConfigError, WatchError
from emwatch.filesystem import crosses_network, file_system_type, lacks_events
from emwatch.frame import path_to_text
from emwatch.service.doctor.finding import Checked, Finding, Level, NoAnswerError, answer_in_time, in_shell
from emwatch.service.roots import checked_roots
from emwatch.watch.events import Events
from emwatch.watch.patterns import Patterns, frames_beside, is_named_like_a_picture, is_named_like_a_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.config.schema import WatchConfig
    from emwatch.service.doctor.finding import Machine

#: Watches that other programs of the same user may hold, beside those of emwatch.
_SPARE_WATCHES: Final = 1000
_LEAST_INSTANCES: Final = 16
_EVENT_WITHIN_S: Final = 5.0
_MOST_FOLDERS: Final = 200_000
_FILES_TRIED: Final = 20
_RAISE: Final = "echo '{name} = {value}' | sudo tee /etc/sysctl.d/60-emwatch.conf && sudo sysctl --system"


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Check each watched directory, then this machine's file events if they are used."""
    try:
        roots = checked_roots(config)
    except ConfigError as error:
        yield Checked("watch", "nothing to watch", (_unusable(error),))
        return
    want_events, folders = False, 0
    for root in roots:
        try:
            looked = answer_in_time(lambda root=root: _look(root, config.watch), machine.patience_s)  # type: ignore[misc]
        except (NoAnswerError, OSError) as error:
            yield Checked("watch.directory", path_to_text(root), (_unavailable(root, error),))
            continue
        kind = file_system_type(root, machine.mount_table)
        polled = config.watch.mode == "poll" or (config.watch.mode == "auto" and lacks_events(kind))
        want_events |= not polled
        folders += 0 if polled else looked.folders
        how = "swept every few seconds" if polled else "events"
        fact = f"{path_to_text(root)}: {kind or 'unknown file system'}, new files are noticed by {how}"
        yield Checked("watch.directory", fact, (*looked.findings, *_about_kind(root, kind, config.watch)))
    if want_events:
        yield _limits(folders, machine)
        yield _events()


@dataclass(frozen=True, slots=True)
class _Looked:
    folders: int
    findings: tuple[Finding, ...]


def _look(root: Path, watch: WatchConfig) -> _Looked:
    """Walk through a directory as a sweep does. Raises `OSError`."""
    os.scandir(root).close()
    patterns = Patterns(watch.include, watch.exclude)
    folders, tried = 0, 0
    closed_folders: list[Path] = []
    closed_files: list[Path] = []
    unwanted: list[Path] = []
    texts: list[Path] = []
    for place, below, files in os.walk(root, onerror=lambda error: closed_folders.append(Path(error.filename))):
        relative = Path(place).relative_to(root)
        folders += 1
        if folders >= _MOST_FOLDERS:
            break
        for name in files:
            if tried < _FILES_TRIED and patterns.wants_file(relative / name):
                tried += 1
                if not os.access(Path(place, name), os.R_OK):
                    closed_files.append(Path(place, name))
            elif not tried and len(unwanted) < _FILES_TRIED and is_named_like_a_picture(name):
                unwanted.append(Path(place, name))
        texts += _unwanted_texts(Path(place), relative, files, patterns) if not texts else []
        deep = len(relative.parts) >= watch.max_depth
        below[:] = (
            [] if deep or not watch.recursive else [each for each in below if patterns.wants_folder(relative / each)]
        )
    closed = [*closed_folders, *closed_files]
    findings = [_closed(root, closed)] if closed else []
    if unwanted and not tried:
        findings.append(_unwanted(unwanted, watch))
    if texts:
        findings.append(_unwanted_text(texts[0], watch))
    return _Looked(folders, tuple(findings))


def _unwanted_texts(folder: Path, relative: Path, files: list[str], patterns: Patterns) -> list[Path]:
    """Return a text beside a frame that is read, if no pattern lets it pass."""
    there = set(files)
    closed = (name for name in files if is_named_like_a_text(name) and not patterns.wants_file(relative / name))
    for name in islice(closed, _FILES_TRIED):
        frames = (each.name for each in frames_beside(Path(name)))
        if any(each in there and patterns.wants_file(relative / each) for each in frames):
            return [folder / name]
    return []


def _unwanted_text(text: Path, watch: WatchConfig) -> Finding:
    endings = ", ".join(f'"{each}"' for each in (*watch.include, f"*{text.suffix.lower()}"))
    return Finding(
        "watch.include",
        Level.WARNING,
        "the text of a frame that comes after it is not read, and its values stay unknown: watch.include and watch.exclude do "
        f"not let it pass, such as {path_to_text(text)}",
        "texts beside frames that are looked at when they come",
        f"write in the configuration: watch: {{include: [{endings}]}}; then: systemctl restart emwatch",
    )


def _unwanted(pictures: list[Path], watch: WatchConfig) -> Finding:
    endings = ", ".join(f'"*{ending}"' for ending in sorted({each.suffix.lower() for each in pictures}))
    return Finding(
        "watch.include",
        Level.WARNING,
        f"watch.include ({', '.join(watch.include)}) and watch.exclude let none of the pictures pass that are there, such "
        f"as {path_to_text(pictures[0])}",
        "frames that are read",
        f"write in the configuration: watch: {{include: [{endings}]}}, or leave both out; then: systemctl restart emwatch",
    )


def _closed(root: Path, closed: list[Path]) -> Finding:
    name = in_shell(root)
    return Finding(
        "watch.permission",
        Level.ERROR,
        f"{path_to_text(closed[0])} may not be read by this user"
        + (f", and {len(closed) - 1} more" * (len(closed) > 1)),
        "every folder and frame readable by the user that emwatch runs as",
        f"sudo usermod -aG $(stat -c %G {name}) emwatch && sudo systemctl restart emwatch; where its group may not read either: "
        f"sudo chmod -R g+rX {name}; for a share, the options uid=, gid= and file_mode= of its mount",
    )


def _unusable(error: ConfigError) -> Finding:
    found = str(error).splitlines()[0]
    key = found.partition(":")[0]
    if key.startswith("ledger."):
        mend = f"correct {key}, then: emwatch config check"
        return Finding(
            key,
            Level.ERROR,
            found.removeprefix(f"{key}: "),
            "a place outside the watched directories",
            mend,
        )
    return Finding(
        "watch.directory",
        Level.ERROR,
        found.removeprefix("watch.directory: ").rstrip(":"),
        "an acquisition directory that emwatch may watch",
        "emwatch init; or set watch.directory, then: emwatch config check",
    )


def _unavailable(root: Path, error: Exception) -> Finding:
    name = path_to_text(root)
    if isinstance(error, PermissionError):
        return _closed(root, [root])
    why = error.strerror if isinstance(error, OSError) else "no answer: a share that hangs"
    return Finding(
        "watch.directory",
        Level.ERROR,
        f"{name}: {why}",
        "a directory that answers; emwatch waits for it, and records what was written meanwhile",
        f"findmnt --target {in_shell(root)}; mount it again, or correct watch.directory",
    )


def _about_kind(root: Path, kind: str, watch: WatchConfig) -> Iterator[Finding]:
    if not lacks_events(kind):
        return
    name = path_to_text(root)
    where = "a network share" if crosses_network(kind) else "a file system that hides changes"
    if watch.mode == "events":
        yield Finding(
            "watch.mode",
            Level.ERROR,
            f"watch.mode is events, and {name} is on {kind}, {where}: new files raise no events there",
            "watch.mode: auto, which sweeps such a directory every few seconds",
            "write in the configuration: watch: {mode: auto}; then: systemctl restart emwatch",
        )
    elif watch.mode == "auto":
        yield Finding(
            "watch.mode",
            Level.NOTE,
            f"{name} is on {kind}, {where}: it is swept, and frames are recorded some 10 s after they are written",
            "nothing else; on the PC that owns the disk events would come at once",
            "nothing; sooner or later sweeps: watch.sweep_seconds",
        )


def _limits(folders: int, machine: Machine) -> Checked:
    watches = machine.number("fs/inotify/max_user_watches")
    instances = machine.number("fs/inotify/max_user_instances")
    findings = []
    if watches is not None and watches < folders + _SPARE_WATCHES:
        wanted = max(65_536, 4 * folders)
        findings.append(
            Finding(
                "watch.limit",
                Level.ERROR if watches < folders else Level.WARNING,
                f"fs.inotify.max_user_watches is {watches:,}, and {folders:,} folders are to be watched",
                f"at least {folders + _SPARE_WATCHES:,}: a folder without a watch is swept, so its frames come later",
                _RAISE.format(name="fs.inotify.max_user_watches", value=wanted),
            )
        )
    if instances is not None and instances < _LEAST_INSTANCES:
        findings.append(
            Finding(
                "watch.limit",
                Level.WARNING,
                f"fs.inotify.max_user_instances is {instances}",
                f"at least {_LEAST_INSTANCES}: other programs of the same user need event queues, too",
                _RAISE.format(name="fs.inotify.max_user_instances", value=128),
            )
        )
    fact = "not limited" if watches is None else f"{folders:,} folders of at most {watches:,} watches"
    return Checked("watch.limit", fact, tuple(findings))


def _events() -> Checked:
    """Write a file into a temporary folder and wait for its event: this kernel, this user, this installation."""
    with tempfile.TemporaryDirectory(prefix="emwatch-doctor-") as made:
        folder = Path(made)
        heard = _Heard()
        events = Events(folder, heard)
        try:
            events.start()
            (folder / "frame.tif").write_bytes(b"II*\0")
            came = heard.file_closed.wait(_EVENT_WITHIN_S)
        except WatchError as error:
            return Checked("watch.events", "none", (_no_events(str(error)),))
        finally:
            events.stop()
    if not came:
        return Checked("watch.events", "none", (_no_events(f"no event within {_EVENT_WITHIN_S:g} s for a new file"),))
    return Checked("watch.events", f"come for a new file in {path_to_text(folder.parent)}")


def _no_events(found: str) -> Finding:
    return Finding(
        "watch.events",
        Level.ERROR,
        found,
        "an event for every file that is written",
        _RAISE.format(name="fs.inotify.max_user_instances", value=512) + "; until then frames are found by sweeps",
    )


class _Heard:
    """Hints of a watched folder; only the file that was closed matters."""

    def __init__(self) -> None:
        self.file_closed = threading.Event()

    def file(self, path: Path, *, closed: bool) -> None:  # noqa: ARG002 - the one file there is
        """Note that the file was closed."""
        if closed:
            self.file_closed.set()

    def gone(self, path: Path) -> None:
        """Ignore a renamed file."""

    def folder(self, path: Path) -> None:
        """Ignore a new folder."""

    def everything(self, reason: str) -> None:
        """Ignore lost events."""
