"""How a microscope writes its files, learned from a folder of samples: makers, endings, texts beside frames, other files."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emwatch.errors import FrameError
from emwatch.filesystem import crosses_network, file_system_type, lacks_events, real_path
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import Limits
from emwatch.watch.patterns import Patterns, frames_beside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from emwatch.frame import FrameReading

_MOST_FILES: Final = 20_000
_LONGEST_LISTING_S: Final = 20.0
#: Frames that are read: of each ending so many, the newest, from as many folders as there are.
_READ_OF_EACH_ENDING: Final = 12
_MOST_ENDINGS: Final = 20
#: Names that a program gives to a file it is still writing, beside those that emwatch leaves out anyhow.
_UNFINISHED: Final = (
    "*.temp",
    "*.filepart",
    "*.partial",
    "*.download",
    "*.lock",
    "*.lck",
    "*.swp",
    "*~",
    "~*",
    "*.bak",
)
#: Endings that stand for the same format.
_TWINS: Final = ({".tif", ".tiff"}, {".jpg", ".jpeg"})


@dataclass(frozen=True, slots=True)
class Habits:
    """
    What a folder of samples shows.

    Attributes:
        folder: the folder.
        file_system: its type, "" if it is not known.
        files: how many there are; ``cut`` if there are more.
        folders: how many folders below it hold files.
        makers: frames that were read, by maker; "" is none that emwatch knows.
        endings: of those frames, in lower case with the dot, the most frequent first.
        sidecars: endings of texts beside frames.
        unfinished: patterns of files that were being written.
        others: how many files there are of each ending that are neither.
        lacking: frames whose header lacks a magnification, a pixel size or a voltage.
        largest_mb: of the frames that were read, decoded, one channel.
        unread: frames that could not be read, and why.

    """

    folder: Path
    file_system: str
    files: int = 0
    cut: bool = False
    folders: int = 0
    makers: Mapping[str, int] = field(default_factory=dict)
    endings: tuple[str, ...] = ()
    sidecars: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    lacking: int = 0
    largest_mb: float = 0.0
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many frames were read."""
        return sum(self.makers.values())

    @property
    def swept(self) -> bool:
        """Whether new files raise no events there."""
        return lacks_events(self.file_system)

    @property
    def shared(self) -> bool:
        """Whether the folder is on a network share."""
        return crosses_network(self.file_system)

    def include(self) -> tuple[str, ...]:
        """Return the patterns of frames and of texts beside them; none if no frame was read."""
        twins = {twin for ending in self.endings for pair in _TWINS if ending in pair for twin in pair}
        endings = [*self.endings, *sorted(twins - set(self.endings)), *self.sidecars]
        return tuple(f"*{ending}" for ending in endings) if self.endings else ()


def learn(folder: Path, excluded: Sequence[str]) -> Habits:
    """
    Look at a folder of samples: names of up to 20,000 files, and some dozen frames, read as the daemon reads them.

    ``excluded``: patterns that are left out anyhow. Nothing is written. Raises `OSError` if it cannot be listed.
    """
    os.scandir(folder).close()
    patterns = Patterns(("*",), tuple(excluded))
    listed: list[Path] = []
    until = time.monotonic() + _LONGEST_LISTING_S
    for path in _files(folder, patterns):
        listed.append(path)
        if len(listed) >= _MOST_FILES or time.monotonic() > until:
            break
    unfinished_names = Patterns(_UNFINISHED)
    unfinished = [path for path in listed if unfinished_names.wants_name(".", path.name)]
    finished = [path for path in listed if path not in set(unfinished)]
    readings, not_frames, unread = _read(_chosen(finished))
    endings = Counter(path.suffix.lower() for path in readings)
    sidecars = _sidecars(finished, readings)
    known = {*endings, *sidecars, *(Path(name).suffix.lower() for name in unread)}
    others = Counter(path.suffix.lower() for path in finished if path.suffix.lower() not in known)
    others.update(path.suffix.lower() for path in not_frames if path.suffix.lower() not in {*others, *known})
    return Habits(
        folder=folder,
        file_system=file_system_type(real_path(folder)),
        files=len(listed),
        cut=len(listed) >= _MOST_FILES or time.monotonic() > until,
        folders=len({path.parent for path in listed}),
        makers=Counter(reading.metadata.vendor or "" for reading in readings.values()),
        endings=tuple(ending for ending, _ in endings.most_common()),
        sidecars=sidecars,
        unfinished=tuple(each for each in _UNFINISHED if _any_fits(each, unfinished)),
        others=others,
        lacking=sum(reading.metadata.lacks_bar_fields for reading in readings.values()),
        largest_mb=max((_decoded_mb(reading) for reading in readings.values()), default=0.0),
        unread=unread,
    )


def _files(folder: Path, patterns: Patterns) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        relative = Path(place).relative_to(folder)
        below[:] = sorted(each for each in below if patterns.wants_folder(relative / each))
        for name in sorted(names):
            if patterns.wants_name(relative.as_posix(), name):
                yield Path(place, name)


def _chosen(files: Iterable[Path]) -> list[Path]:
    """Choose files to read: the newest of each ending and folder in turn."""
    by_ending: defaultdict[str, defaultdict[Path, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        by_ending[path.suffix.lower()][path.parent].append(path)
    chosen: list[Path] = []
    for _, folders in sorted(by_ending.items())[:_MOST_ENDINGS]:
        columns = [sorted(each, key=_written_at, reverse=True) for each in folders.values()]
        in_turn = [column[at] for at in range(_READ_OF_EACH_ENDING) for column in columns if at < len(column)]
        chosen += in_turn[:_READ_OF_EACH_ENDING]
    return chosen


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(paths: Iterable[Path]) -> tuple[dict[Path, FrameReading], list[Path], dict[str, str]]:
    """Read frames as the daemon does, without their pixels: readings, files that are no frames, frames in trouble."""
    readings: dict[Path, FrameReading] = {}
    not_frames: list[Path] = []
    unread: dict[str, str] = {}
    with Sandbox(limits=Limits()) as sandbox:
        for path in paths:
            try:
                readings[path] = sandbox.read(path, pixels=False)
            except FrameError as error:
                if error.code == "not-a-frame":
                    not_frames.append(path)
                else:
                    unread[path.name] = str(error)
    return readings, not_frames, unread


def _sidecars(files: Iterable[Path], readings: Mapping[Path, FrameReading]) -> tuple[str, ...]:
    """Return the endings of files that a reader took values from, or whose names fit a frame's."""
    names = {os.fspath(path).lower() for path in readings}
    found = {Path(each.metadata.sidecar.name).suffix.lower() for each in readings.values() if each.metadata.sidecar}
    for path in files:
        if any(os.fspath(frame).lower() in names for frame in frames_beside(path)):
            found.add(path.suffix.lower())
    return tuple(sorted(found))


def _any_fits(pattern: str, files: Iterable[Path]) -> bool:
    fits = Patterns((pattern,))
    return any(fits.wants_name(".", path.name) for path in files)


def _decoded_mb(reading: FrameReading) -> float:
    """Return the size of one channel."""
    bits = int("".join(filter(str.isdigit, reading.pixel_type)) or 8)
    return reading.width * reading.height * bits / 8e6
