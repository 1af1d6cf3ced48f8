"""Reviews one frame after the other on a terminal: the frame's picture, what the model says, and one key an answer."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.terminal.display import both_ends, printable
from emwatch.errors import EmwatchError
from emwatch.frame import CATEGORIES, ReviewVerdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from emwatch.ledger.log_row import LogRow
    from emwatch.pictures.in_terminal import Protocol

    Answer = tuple[ReviewVerdict, str | None]

_BY_KEY: Final = {
    "c": (ReviewVerdict.CONFIRM, None),
    "u": (ReviewVerdict.UNSURE, None),
    "r": (ReviewVerdict.REJECT, None),
}
_DIGITS: Final = "1234567890"
_SKIP, _UNDO, _QUIT = " ", ("z", "\x7f", "\x08"), ("q", "\x1b", "\x03", "\x04")
_ANSWER_S: Final = 0.2  # a terminal's, to a question
_LONG_KEY_S: Final = 0.02  # between the bytes of one key
#: Lines beside the picture: two above, three below, and one in which the cursor rests.
_OTHER_LINES: Final = 6
_ALTERNATE, _BACK = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_CLEAR, _BOLD, _DIM, _PLAIN = "\x1b[2J\x1b[H", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def in_order(rows: Iterable[LogRow]) -> list[LogRow]:
    """Return frames in the order in which they are asked for: hits first, then the least certain."""
    return sorted(rows, key=lambda row: (not row.targets, -1.0 if row.margin is None else row.margin, -row.id))


@dataclass(slots=True)
class ReviewQueue:
    """
    Frames and the answers given, which `press` changes key by key.

    ``save`` records an answer. The last answer is saved with the next one, or by `finish`, so that undoing it leaves
    no trace; one further back is answered anew, and the newest review counts. Frames that ``is_open`` says no to are
    passed over: somebody else has reviewed them since the queue was made.
    """

    frames: Sequence[LogRow]
    save: Callable[[LogRow, Answer], None]
    is_open: Callable[[LogRow], bool] = lambda _frame: True
    at: int = 0
    said: str = ""
    saved: int = 0
    passed: int = 0
    _own: set[int] = field(default_factory=set)
    _last: tuple[int, Answer] | None = field(default=None)

    @property
    def frame(self) -> LogRow | None:
        """The frame that is asked for, ``None`` after the last one."""
        return self.frames[self.at] if self.at < len(self.frames) else None

    def press(self, key: str) -> bool:
        """Take a key. Returns ``False`` if the queue ends."""
        self.said = ""
        if key in _QUIT:
            return False
        if key in _UNDO:
            self._go_back()
        elif key == _SKIP:
            self._go_on()
        elif (answer := self._answer(key)) is not None:
            self.finish()
            self._last = (self.at, answer)
            self._own.add(self.at)
            self._go_on()
        return self.frame is not None

    def finish(self) -> None:
        """Save the last answer."""
        if self._last is not None:
            at, answer = self._last
            self._last = None
            self.save(self.frames[at], answer)
            self.saved += 1

    def _go_on(self) -> None:
        self.at += 1
        while (frame := self.frame) is not None and self.at not in self._own and not self.is_open(frame):
            self.at += 1
            self.passed += 1
            self.said = f"passed over what somebody else has reviewed meanwhile: {self.passed} so far"

    def _go_back(self) -> None:
        if self.at == 0:
            self.said = "this is the first frame"
            return
        self.at -= 1
        if self._last is not None and self._last[0] == self.at:
            self._last = None

    def _answer(self, key: str) -> Answer | None:
        frame = self.frame
        if frame is None:
            return None
        answer: Answer | None = _BY_KEY.get(key)
        if len(key) == 1 and key in _DIGITS:
            category = CATEGORIES[_DIGITS.index(key)]
            same = category == frame.category
            answer = (ReviewVerdict.CONFIRM, None) if same else (ReviewVerdict.RELABEL, category)
        if answer is None:
            self.said = f"{key!r} is no answer"
        elif answer[0] is ReviewVerdict.CONFIRM and frame.category not in CATEGORIES:
            self.said, answer = "the model names no category: press its number", None
        return answer


def ask(queue: ReviewQueue, picture: Callable[[LogRow], bytes]) -> None:
    """Ask for each frame on the terminal until the last one or ``q``; ``picture`` returns a JPEG, or raises `EmwatchError`."""
    with _keys() as next_key, suppress(KeyboardInterrupt):
        how = _protocol()
        sys.stdout.write(_ALTERNATE)
        try:
            going = queue.frame is not None
            while going:
                sys.stdout.write(_screen(queue, picture, how))
                sys.stdout.flush()
                going = queue.press(next_key())
        finally:
            sys.stdout.write(_BACK)
            sys.stdout.flush()
    queue.finish()


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Let the terminal pass on each key at once, without showing it; yields what returns the next one."""
    if os.name != "posix":
        yield click.getchar
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSANOW)  # what was typed ahead stays
    try:
        yield partial(_key, descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSANOW, before)


def _key(descriptor: int) -> str:
    """Return the next key; that of an arrow or another long one as a whole, "q" at the end of the input."""
    found = os.read(descriptor, 1)
    while found[:1] == b"\x1b" and not found[-1:].isalpha() and _has_input(descriptor, _LONG_KEY_S):
        found += os.read(descriptor, 1)
    return found.decode("latin-1") or "q"


def _has_input(descriptor: int, patience_s: float) -> bool:
    import select

    return bool(select.select([descriptor], [], [], patience_s)[0])


def _screen(queue: ReviewQueue, picture: Callable[[LogRow], bytes], how: Protocol) -> str:
    from emwatch.pictures.in_terminal import CELL_PX, drawn

    frame = queue.frame
    if frame is None:
        return _CLEAR
    columns, lines = shutil.get_terminal_size()
    room = max(1, lines - _OTHER_LINES)
    try:
        true_colour = os.environ.get("COLORTERM") in {"truecolor", "24bit"}
        shown = drawn(picture(frame), how, columns, room, true_colour=true_colour, cell_px=CELL_PX)
    except EmwatchError as error:
        shown = _fit(f"no picture: {error}", columns)
    begin = f"{queue.at + 1} of {len(queue.frames)}  frame {frame.id}  "
    title = begin + both_ends(printable(frame.path), max(20, columns - 1 - len(begin)))
    above = [f"{_BOLD}{_fit(title, columns)}{_PLAIN}", _fit(_said(frame), columns)]
    below = [
        *_choices(columns),
        _fit(queue.said or "c confirm  u unsure  r reject  space skip  z undo  q quit", columns),
    ]
    return (
        _CLEAR
        + "\r\n".join(above)
        + "\r\n"
        + shown
        + f"\x1b[{lines - len(below)};1H"
        + "\r\n".join(f"{_DIM}{each}{_PLAIN}" for each in below)
    )


def _said(frame: LogRow) -> str:
    if frame.category is None:
        words = "not classified"
    else:
        words = f"{frame.category} {frame.probability or 0:.2f}, lead {frame.margin or 0:.2f}"
        words += ", uncertain" if frame.uncertain else ""
    return words + (f"   hit: {', '.join(map(printable, frame.targets))}" if frame.targets else "")


def _choices(columns: int) -> list[str]:
    words = [f"{_DIGITS[at]} {name}" for at, name in enumerate(CATEGORIES)]
    long = ["  ".join(words[:5]), "  ".join(words[5:])]
    if max(map(len, long)) > columns:
        words = [each.split("_")[0] for each in words]
        long = ["  ".join(words[:5]), "  ".join(words[5:])]
    return [_fit(each, columns) for each in long]


def _fit(text: str, columns: int) -> str:
    return printable(text)[: columns - 1]


def _protocol() -> Protocol:
    from emwatch.pictures.in_terminal import protocol

    return protocol(os.environ, _attributes())


def _attributes() -> str:
    """Ask the terminal what it can do (DA1). Returns its answer, "" if it gives none in time."""
    if os.name != "posix":
        return ""
    descriptor, found = sys.stdin.fileno(), b""
    sys.stdout.write("\x1b[c")
    sys.stdout.flush()
    while _has_input(descriptor, _ANSWER_S) and not found.endswith(b"c"):
        found += os.read(descriptor, 1)
    return found.decode("latin-1")
