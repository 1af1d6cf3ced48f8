"""The first configuration of an installation: a commented file made from what its samples show."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from emwatch.config.schema import DEFAULT_EXCLUDE
from emwatch.errors import EmwatchError
from emwatch.escape import escaped
from emwatch.readers.data_bar import ocr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from emwatch.service.habits import Habits

#: Frames from this size on, one channel, get a higher limit than the default of 256 MB: room for four channels.
_LARGE_MB: Final = 64.0
_CHANNELS: Final = 4


@dataclass(frozen=True, slots=True)
class Wishes:
    """
    What the operator wants.

    Attributes:
        directory: the acquisition directory.
        categories: what to alert for; none: no target.
        min_probability: how sure the model must be.
        min_magnification: of a frame that raises an alert, ``None``: any.
        command: a program that tells the operator; empty: the terminal alone.
        ledger: where frames are recorded, ``None``: the usual place.
        catch_up: "all" or "new", see watch.catch_up.

    """

    directory: Path
    categories: tuple[str, ...] = ()
    min_probability: float = 0.8
    min_magnification: float | None = None
    command: tuple[str, ...] = ()
    ledger: Path | None = None
    catch_up: str = "all"


def first_configuration(habits: Habits, wishes: Wishes) -> str:
    """Return the text of a configuration. Raises `EmwatchError` if a path cannot be written as text."""
    lines = [
        "# emwatch: written by `emwatch init`. Every key, with its default: emwatch config example.",
        "# After a change: emwatch config check, then: systemctl reload emwatch.",
        *(f"# {escaped(line)}" for line in findings(habits)),
        "",
        "watch:",
        f"  directory: {_quoted(os.fspath(wishes.directory))}",
        *_watch(habits, wishes),
    ]
    if wishes.ledger is not None:
        lines += ["", "ledger:", f"  path: {_quoted(os.fspath(wishes.ledger))}"]
    lines += ["", *_targets(wishes), "", *_alerts(wishes)]
    return "\n".join(lines) + "\n"


def findings(habits: Habits) -> Iterator[str]:
    """Yield what the samples show, one line each."""
    more = " or more" if habits.cut else ""
    within = f" in {habits.folders:,} folders" if habits.folders > 1 else ""
    yield f"{habits.folder}: files: {habits.files:,}{more}{within}, frames read: {habits.read}."
    makers = ", ".join(f"{name or 'no maker that is known'} ({count})" for name, count in habits.makers.items())
    if makers:
        yield f"Frames of: {makers}."
    if habits.sidecars:
        yield f"Texts beside frames: {_listed(habits.sidecars)}; they are waited for, and read with the frame."
    if habits.unfinished:
        yield f"Files that were being written: {_listed(habits.unfinished)}."
    if habits.others:
        yield f"Other files, which are not looked at: {', '.join(_counted(habits))}."
    if habits.lacking:
        read = "they are" if ocr.is_installed() else "with the extra `ocr` they are"
        yield (
            f"In the headers of {habits.lacking} of {habits.read} frames, magnification, pixel size or voltage is missing: {read} "
            "read from the data bar."
        )
    for name, why in list(habits.unread.items())[:3]:
        yield f"Not read: {name}: {why}."
    if habits.shared:
        yield f"The folder is on a network share ({habits.file_system}): it is swept, frames come some 10 s after they are written."
    elif habits.swept:
        yield f"The folder is on {habits.file_system}, where new files raise no events: it is swept."


def _counted(habits: Habits) -> Iterator[str]:
    for ending, count in sorted(habits.others.items(), key=lambda each: -each[1])[:8]:
        yield f"{ending or 'without ending'} ({count})"


def _watch(habits: Habits, wishes: Wishes) -> Iterator[str]:
    include = habits.include()
    if include:
        yield "  # The endings of frames and of texts beside them, case does not matter. A file with another one is not looked at."
        yield f"  include: {_list(include)}"
    else:
        yield "  # No frame was found among the samples: every file is looked at, and what is no frame is skipped."
        yield '  include: ["*"]'
    yield "  # Names that are never frames: hidden files, and files that are still being written."
    yield f"  exclude: {_list((*DEFAULT_EXCLUDE, *habits.unfinished))}"
    yield "  # auto: events on a local disk, sweeps every 5 s on a share."
    yield "  mode: auto"
    yield "  # What is there at the first start. all: it is recorded; new: only what comes after. Old frames raise no alert."
    yield f"  catch_up: {wishes.catch_up}"
    if habits.largest_mb >= _LARGE_MB:
        yield f"  # The largest frame that was read has {habits.largest_mb:,.0f} MB a channel when it is decoded."
        yield f"  max_frame_mb: {max(256, round(_CHANNELS * habits.largest_mb))}"


def _targets(wishes: Wishes) -> Iterator[str]:
    yield "# What you are looking for: a frame that meets all conditions of a target raises an alert on its channels."
    if not wishes.categories:
        yield "targets: []"
        yield "#  - {name: good wires, category: Nanowires, min_probability: 0.8, alerts: [terminal]}"
        return
    channels = ("terminal", "operator") if wishes.command else ("terminal",)
    yield "targets:"
    yield f"  - name: {_quoted(' or '.join(wishes.categories)[:80])}"
    yield f"    category: {_list(wishes.categories)}"
    yield f"    min_probability: {wishes.min_probability:g}"
    if wishes.min_magnification is not None:
        yield f"    magnification: {{min: {wishes.min_magnification:g}}}"
    yield f"    alerts: {_list(channels)}"


def _alerts(wishes: Wishes) -> Iterator[str]:
    yield "# Where alerts go. `terminal`, the output of `emwatch run`, is always there."
    if not wishes.command:
        yield "#alerts:"
        yield "#  operator: {kind: command, argv: [/usr/bin/notify-send, emwatch, '{category} {path}']}"
        return
    yield "alerts:"
    yield "  # A program, started without a shell; {category}, {path}, {target} and others stand for the frame's values."
    yield "  operator:"
    yield "    kind: command"
    yield f"    argv: {_list(wishes.command)}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(_quoted(each) for each in words)}]"


def _quoted(text: str) -> str:
    """Write a text as YAML, which takes JSON's strings."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EmwatchError(
            f"{text!r} has bytes that are not UTF-8; give the folder another name, or a link to it"
        ) from error
    return json.dumps(text, ensure_ascii=False)
