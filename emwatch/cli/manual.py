"""The manual page emwatch(1), made from the commands themselves: roff with the macros of man(7)."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

import click

from emwatch import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What ends a line of the input or begins an escape, and what would be set as another character than it is.
_SPECIAL: Final = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})


def manual(program: click.Group, name: str) -> str:
    """Return the manual page of a program and of all its commands."""
    context = click.Context(program, info_name=name)
    lines = [
        f'.TH {name.upper()} 1 "" "{_text(f"{name} {__version__}")}" "User commands"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(_first_sentence(program))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        _text(" ".join(program.collect_usage_pieces(context))),
        ".SH DESCRIPTION",
        *_paragraphs(program),
        *_options(program, context),
        ".SH COMMANDS",
        *_below(program, context),
        ".SH FILES",
        *_listed("~/.config/emwatch/config.yaml", "the user's configuration"),
        *_listed("/etc/emwatch/config.yaml", "the machine's configuration"),
        ".SH SEE ALSO",
        _text("The documentation that comes with emwatch: emwatch docs"),
    ]
    return "\n".join(lines) + "\n"


def _below(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield f".SS {_text(' '.join((inner.command_path, *command.collect_usage_pieces(inner))))}"
        yield from _paragraphs(command)
        yield from _options(command, inner)
        if isinstance(command, click.Group):
            yield from _below(command, inner)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield from _listed(*record)


def _listed(what: str, meaning: str) -> tuple[str, str, str]:
    return ".TP", f".B {_text(what)}", _text(" ".join(meaning.split()))


def _paragraphs(command: click.Command) -> Iterator[str]:
    for at, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(command.help or ""))):
        if at:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _first_sentence(command: click.Command) -> str:
    return command.get_short_help_str(200).rstrip(".")


def _text(text: str) -> str:
    r"""Escape text; a line that begins with a dot would be a request."""
    escaped = text.translate(_SPECIAL)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped
