"""The channel that runs the operator's program."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.program import inherited_environment, run_program
from emwatch.alerts.secrets import hushed
from emwatch.alerts.wording import as_document, as_words
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Command, Number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emwatch.alerts.alert import Alert

PLACEHOLDERS: Final = (
    "path",
    "category",
    "target",
    "probability",
    "magnification",
    "stage_tilt_deg",
    "stage_x_mm",
    "stage_y_mm",
    "count",
    "reason",
    "key",
    "recorded_at",
    "queued_at",
    "frame_id",
)

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_]*)\}")
_LONGEST_COMPLAINT: Final = 300


class CommandSettings(ChannelSettings):
    """Alerts handed to a program: started directly, never through a shell."""

    kind: Literal["command"]
    argv: Command
    timeout_seconds: Annotated[Number, Field(gt=0, le=3600)] = 10.0

    @field_validator("argv")
    @classmethod
    def _known_placeholders(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        for argument in argv:
            _filled(argument, dict.fromkeys(PLACEHOLDERS, ""))
        return argv

    def open(self, show: Callable[[Alert], None]) -> CommandChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that runs the program."""
        return CommandChannel(self.argv, self.timeout_seconds)

    def doubts(self) -> Iterator[str]:
        """Return a warning if the program does not exist."""
        if shutil.which(self.argv[0]) is None:
            yield f"argv: {self.argv[0]}: no such program, or not executable"


class CommandChannel:
    """
    Runs a program for each alert; the alert is delivered when the program exits with 0.

    The program gets the alert three times: in ``{placeholders}`` of the arguments, in ``EMWATCH_ALERT_*`` variables, and
    as JSON on standard input. There is no shell, so nothing in a file name can become a command.

    Args:
        argv: the program and its arguments; ``{{`` and ``}}`` stand for literal braces.
        timeout_s: the program and all it started are killed after this.

    """

    kind: Final = "command"

    def __init__(self, argv: Sequence[str], timeout_s: float = 10.0) -> None:
        self._command = tuple(argv)
        self._timeout_s = timeout_s

    def send(self, alert: Alert) -> None:
        """
        Run the program.

        Raises:
            AlertError: it could not be started, did not end in time, or did not exit with 0.

        """
        words = as_words(alert)
        arguments = [_filled(each, words) for each in self._command]
        letter = json.dumps(as_document(alert)).encode("utf-8")
        try:
            ended = run_program(arguments, letter, _environment(words), self._timeout_s)
        except (OSError, ValueError) as error:
            raise AlertError(f"command {self._command[0]}: cannot be started ({error})") from error
        if ended.status is None:
            raise AlertError(f"command {self._command[0]}: killed, not done after {self._timeout_s:g} s")
        if ended.status != 0:
            said = escaped(hushed(ended.last_line or "no message", arguments[1:])[:_LONGEST_COMPLAINT])
            raise AlertError(f"command {self._command[0]}: exit status {ended.status}: {said}")


def _filled(argument: str, words: dict[str, str]) -> str:
    def word(found: re.Match[str]) -> str:
        if found[0] in {"{{", "}}"}:
            return found[0][0]
        if found[1] not in PLACEHOLDERS:
            raise ValueError(
                f"unknown placeholder {found[0]}: "
                f"known are {', '.join(f'{{{each}}}' for each in PLACEHOLDERS)}; write {{{{ and }}}} for literal braces"
            )
        return words[found[1]]

    return _BRACES.sub(word, argument)


def _environment(words: dict[str, str]) -> dict[str, str]:
    return inherited_environment() | {f"EMWATCH_ALERT_{name.upper()}": word for name, word in words.items()}
