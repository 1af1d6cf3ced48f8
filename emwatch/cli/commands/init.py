"""``emwatch init``: the first configuration, from samples and some questions."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, LedgerFile, logging_options
from emwatch.cli.terminal.display import is_terminal, printable
from emwatch.errors import ConfigError, EmwatchError
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    from emwatch.service.first_configuration import Wishes
    from emwatch.service.habits import Habits


@click.command(short_help="Write the first configuration, from sample frames.")
@click.argument("samples", metavar="[SAMPLES]", required=False, type=AnyPath())
@click.option("--directory", metavar="DIR", type=AnyPath(), help="The acquisition directory; default: SAMPLES.")
@click.option(
    "--out",
    metavar="FILE",
    type=AnyPath(),
    help="Write here, \"-\": print it; default: the user's file, for root the machine's.",
)
@click.option(
    "--category",
    "categories",
    metavar="NAME",
    multiple=True,
    type=click.Choice(CATEGORIES, case_sensitive=False),
    help="Alert for this category; can be repeated.",
)
@click.option(
    "--min-probability", type=click.FloatRange(0, 1), default=0.8, show_default=True, help="How sure the model must be."
)
@click.option("--min-magnification", type=click.FloatRange(min=0), help="Alert only from this magnification on.")
@click.option(
    "--alert-command", metavar="COMMAND", help="Alert with this program as well, for example 'notify-send {category}'."
)
@click.option("--ledger", metavar="FILE", type=LedgerFile(), help="Record into this file.")
@click.option("--only-new", is_flag=True, help="Do not record the frames that are there already.")
@click.option(
    "--without-samples", is_flag=True, help="Write it although no frame is there yet: every file is looked at."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--yes", is_flag=True, help="Ask nothing, also on a terminal.")
@logging_options
def init(
    samples: Path | None,
    directory: Path | None,
    out: Path | None,
    categories: tuple[str, ...],
    min_probability: float,
    min_magnification: float | None,
    alert_command: str | None,
    ledger: Path | None,
    only_new: bool,
    without_samples: bool,
    force: bool,
    yes: bool,
) -> None:
    """
    Write the first configuration, from a folder of sample frames.

    SAMPLES is the acquisition directory or a copy of some of its files: names are listed, some dozen frames are read, and
    nothing is written there. On a terminal, what the options leave open is asked. The file is written only if it is valid;
    "emwatch config check" then shows every value. Without a frame among the samples it is not written (exit code 3): the
    folder may be the wrong one.
    """
    ask = is_terminal(sys.stdin) and is_terminal(sys.stderr) and not yes
    if samples is None:
        samples = directory or (Path(_ask("The acquisition directory, or a folder of samples")) if ask else None)
    if samples is None:
        raise click.UsageError("name the acquisition directory, or a folder of samples, as SAMPLES")
    target = out or _usual_file()
    printed = target == Path("-")
    if target.exists() and not (force or printed):
        raise EmwatchError(f"{target} is there already; change it by hand, or replace it with --force")
    habits = _learn(samples)
    from emwatch.service.first_configuration import Wishes, findings

    for line in findings(habits):
        click.echo(printable(line), err=True)
    if not habits.read and not without_samples:
        _refuse_without_frames(samples, target, ask=ask)
    wishes = Wishes(
        directory=(directory or samples).expanduser().absolute(),
        categories=categories or (_ask_categories() if ask else ()),
        min_probability=min_probability,
        min_magnification=min_magnification,
        command=_command(alert_command if alert_command is not None or not ask else _ask_command()),
        ledger=ledger.absolute() if ledger else _usual_ledger(target),
        catch_up="new" if only_new else "all",
    )
    if printed:
        click.echo(_checked(habits, wishes), nl=False)
        return
    _write(target, habits, wishes)
    click.echo(os.fspath(target))
    option = "" if target == _usual_file() else f" --config {shlex.quote(os.fspath(target))}"
    click.echo(
        f"next: emwatch doctor{option}; then: emwatch run{option}, or: emwatch service install{option}", err=True
    )


def _refuse_without_frames(samples: Path, target: Path, *, ask: bool) -> None:
    """End with exit code 3, unless a person says that the folder is the right one."""
    click.echo(f"no frame was found in {printable(os.fspath(samples))}: is this the right folder?", err=True)
    if ask and click.confirm("Go on, and look at every file that will come", default=False, err=True):
        return
    click.echo(
        f"{printable(os.fspath(target))} was not written. Name a folder with frames as SAMPLES, and the acquisition directory "
        "with --directory; or, if no frame was taken yet, add --without-samples",
        err=True,
    )
    raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _learn(samples: Path) -> Habits:
    from emwatch.config.schema import DEFAULT_EXCLUDE
    from emwatch.service.habits import learn

    try:
        return learn(samples.expanduser().absolute(), DEFAULT_EXCLUDE)
    except OSError as error:
        raise EmwatchError(f"{samples}: {error.strerror or error}; name a folder with frames") from error


def _usual_file() -> Path:
    from emwatch.config.sources import system_config_file, user_config_file

    return system_config_file() if hasattr(os, "geteuid") and os.geteuid() == 0 else user_config_file()


def _usual_ledger(target: Path) -> Path | None:
    """Return the ledger of the service that reads a file in /etc/emwatch, so that every command finds the same one."""
    if target.absolute().parent != Path("/etc/emwatch"):
        return None
    instance = "" if target.name == "config.yaml" else target.stem
    return Path("/var/lib/emwatch") / instance / "ledger.sqlite3"


def _write(target: Path, habits: Habits, wishes: Wishes) -> None:
    """Write the file if it is valid. Raises `ConfigError`, and `OSError` if it cannot be written."""
    from emwatch.whole_file import check_writable, written_whole

    text = _checked(habits, wishes)
    if target.absolute().is_relative_to(wishes.directory):
        raise ConfigError(
            f"{target} lies in the acquisition directory, which emwatch never writes to; choose another --out"
        )
    check_writable(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(target) as made:
        made.write_text(text, encoding="utf-8")


def _checked(habits: Habits, wishes: Wishes) -> str:
    """Return the configuration, valid by itself, whatever other files say. Raises `ConfigError`."""
    from emwatch.config import load_alone
    from emwatch.service.first_configuration import first_configuration
    from emwatch.service.roots import checked_roots

    text = first_configuration(habits, wishes)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "config.yaml")
        made.write_text(text, encoding="utf-8")
        try:
            checked_roots(load_alone(made).config)
        except ConfigError as error:
            raise ConfigError(re.sub(rf"{re.escape(os.fspath(made))}(:\d+)*: ", "", str(error))) from error
    return text


def _command(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise click.BadParameter(f"{text}: {error}", param_hint="--alert-command") from error


def _ask(question: str, default: str | None = None) -> str:
    return str(click.prompt(question, default=default, err=True, show_default=bool(default)))


def _ask_command() -> str:
    return _ask("A program that tells you of a hit (empty: the terminal only)", "")


def _ask_categories() -> tuple[str, ...]:
    """Ask until the answer names categories, by number or name; an empty one names none."""
    for number, name in enumerate(CATEGORIES, 1):
        click.echo(f"{number:>4}  {name}", err=True)
    while True:
        words = _ask("Which of these are you looking for? Numbers or names, several with commas (empty: none)", "")
        chosen = [_category(word.strip()) for word in words.split(",") if word.strip()]
        known = [each for each in chosen if each]
        if len(known) == len(chosen):
            return tuple(dict.fromkeys(known))
        click.echo("not understood; for example: 5, 10", err=True)


def _category(word: str) -> str:
    if word.isdigit():
        return CATEGORIES[int(word) - 1] if 1 <= int(word) <= len(CATEGORIES) else ""
    return next((each for each in CATEGORIES if each.lower() == word.lower()), "")
