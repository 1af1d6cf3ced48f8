"""``emwatch target``: teach a target by example, look at it, search the past for it, refine, forget and pass it on."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.output_file import refuse_watched_output
from emwatch.cli.parameter_types import moment
from emwatch.cli.terminal.display import (
    Column,
    category_text,
    common_folder,
    is_narrow,
    moment_texts,
    print_json,
    print_table,
    printable,
    tell_warning,
)
from emwatch.clock import SystemClock
from emwatch.errors import EmwatchError, ModelError
from emwatch.frame import path_to_text

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.teaching.targets import Lesson, ScoredFrame

_FOUND: Final = (
    Column("Score", align="right"),
    Column("No.", align="right"),
    Column("Recorded", whole=True, spare=2),
    Column("Category", whole=True, spare=1),
    Column("File", shorten=True),
)
_LISTED: Final = (
    Column("Target", shorten=True),
    Column("Version", align="right"),
    Column("Examples", align="right", spare=1),
    Column("Recall", align="right"),
    Column("False alarms", align="right"),
    Column("Learned", whole=True, spare=2),
)


@click.group(short_help="Teach targets by example, and search the past for them.")
def target() -> None:
    """
    Teach emwatch what to look for by showing it frames, and find it in the frames to come and of the past.

    A learned target is a small file beside the ledger. An entry `learned: NAME` under `targets:` in the configuration
    raises alerts for it, with the same further conditions as any target. A running daemon takes a new version over at once.
    """


@target.command(short_help="Learn a target from frames that show it.")
@click.argument("name")
@click.argument("frames", nargs=-1, required=True, metavar="FRAME...")
@click.option("--not", "unwanted", multiple=True, metavar="FRAME", help="A frame that does not show it; repeatable.")
@ledger_option
@config_option
@json_option
@logging_options
def learn(
    name: str,
    frames: tuple[str, ...],
    unwanted: tuple[str, ...],
    ledger: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Learn the target NAME from frames that show it: five or more. FRAME is a path or a number that emwatch log shows.

    Frames that look similar but are not meant, given with --not, help most. Nothing is written but a file of a few kB.
    """
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.targets import learn as teach

    _tell(teach(config, name, frames, unwanted, SystemClock().now().astimezone()), as_json=as_json)
    _tell_how_to_use(config, name)


@target.command(short_help="Learn from what the reviews say of a target's matches.")
@click.argument("name")
@ledger_option
@config_option
@json_option
@logging_options
def refine(name: str, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Learn the target NAME anew, also from its matches that `emwatch review` confirmed or rejected."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.targets import refine as teach

    _tell(teach(config, name, SystemClock().now().astimezone()), as_json=as_json)


@target.command(short_help="Search the log for a target.")
@click.argument("name")
@click.option("--since", metavar="WHEN", help="Only frames recorded since: 2h, yesterday, 2026-11-20.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most N.")
@ledger_option
@config_option
@json_option
@logging_options
def apply(
    name: str, since: str | None, limit: int, ledger: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """List the frames of the log that the target NAME finds, the likeliest first. No file is opened."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.targets import apply as search

    begin = moment(since, SystemClock().now().astimezone(), option="--since")
    tell_found(search(config, name, since=begin, limit=limit), as_json=as_json)


@target.command(short_help="Show which condition of which target frames meet.")
@click.argument("frames", nargs=-1, required=True, metavar="FRAME...")
@ledger_option
@config_option
@json_option
@logging_options
def test(frames: tuple[str, ...], ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Show for each target of the configuration which condition a frame meets or fails, with the numbers."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.explain import explain_frames

    rows = explain_frames(config, frames)
    if as_json:
        print_json(rows)
        return
    if not config.targets:
        raise EmwatchError("no target is configured: name what to look for under 'targets:' in the configuration")
    for row in rows:
        click.echo(printable(row["path"]))
        for each in row["targets"]:
            click.echo(f"  {'match' if each['met'] else 'no match'}: {printable(each['target'])}")
            for condition in each["conditions"]:
                click.echo(f"    {'yes' if condition['met'] else 'no '}  {printable(condition['sentence'])}")


@target.command("list", short_help="List learned targets.")
@ledger_option
@config_option
@json_option
@logging_options
def list_targets(ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """List the learned targets beside the ledger, with what to expect of each."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.store import TargetStore

    found = TargetStore(config.ledger.path).all()
    if as_json:
        print_json([_document(each) for each in found])
    elif found:
        print_table(
            _LISTED,
            [
                (
                    each.name,
                    str(each.version),
                    str(each.facts.get("wanted", "")),
                    _share(each.facts.get("recall")),
                    _share(each.facts.get("false_alarms")),
                    each.learned_at[:16].replace("T", " "),
                )
                for each in found
            ],
        )
    else:
        click.echo("no target was learned yet: 'emwatch target learn'", err=True)
    if not found:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


@target.command(short_help="Show what a learned target was learned from.")
@click.argument("name")
@ledger_option
@config_option
@json_option
@logging_options
def show(name: str, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Show the examples of a target, and what to expect of it."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.store import TargetStore

    found = TargetStore(config.ledger.path).get(name)
    if as_json:
        print_json(_document(found))
        return
    click.echo(f"{printable(found.name)}, version {found.version}, learned {found.learned_at}")
    click.echo(_expected(found.facts))
    for each in found.examples:
        click.echo(f"  {'yes' if each.wanted else 'not'}  {printable(each.path)}")


@target.command(short_help="Remove a learned target.")
@click.argument("name")
@ledger_option
@config_option
@logging_options
def forget(name: str, ledger: Path | None, config_file: Path | None) -> None:
    """Remove all versions of a learned target. Its matches and alerts stay in the ledger."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.store import TargetStore

    count = TargetStore(config.ledger.path).forget(name)
    click.echo(f"{printable(name)}: {count} version{'s' if count != 1 else ''} removed")


@target.command(short_help="Write a learned target to a file.")
@click.argument("name")
@click.argument("file", type=AnyPath())
@ledger_option
@config_option
@logging_options
def export(name: str, file: Path, ledger: Path | None, config_file: Path | None) -> None:
    """Write the newest version of a target to FILE, for another computer with the same model. FILE must not exist."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.store import TargetStore

    content = TargetStore(config.ledger.path).get(name).to_bytes()
    refuse_watched_output(config, file, "FILE")
    try:
        with file.open("xb") as made:
            made.write(content)
    except FileExistsError as error:
        raise EmwatchError(f"{path_to_text(file)}: exists already; name another file") from error
    click.echo(f"{printable(path_to_text(file))}: {len(content)} bytes")


@target.command("import", short_help="Take a learned target from a file.")
@click.argument("file", type=AnyPath())
@ledger_option
@config_option
@logging_options
def import_target(file: Path, ledger: Path | None, config_file: Path | None) -> None:
    """Take over a target that `emwatch target export` wrote; it becomes the next version of its name here."""
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.teaching.doubts import space_in_use, trouble_with
    from emwatch.teaching.store import TargetStore

    found = TargetStore(config.ledger.path).take(file)
    click.echo(f"{printable(found.name)}, version {found.version}")
    try:
        trouble = trouble_with(found.name, {found.name: found}, space_in_use(config))
    except ModelError as error:  # the target is kept all the same: to import it again would make one more version
        trouble = str(error)
    if trouble:
        tell_warning(trouble)
    _tell_how_to_use(config, found.name)


def tell_found(found: list[ScoredFrame], *, as_json: bool) -> None:
    """Print the frames that were found; exits with "nothing found" if there are none."""
    if as_json:
        print_json(
            [
                {
                    "frame_id": each.frame.frame_id,
                    "path": each.frame.path,
                    "score": round(each.score, 4),
                    "recorded_at": each.frame.recorded_at.astimezone(),
                    "category": each.frame.category,
                    "probability": each.frame.probability,
                }
                for each in found
            ]
        )
    elif found:
        below = common_folder([each.frame.path for each in found])
        narrow = is_narrow()
        moments = moment_texts([each.frame.recorded_at for each in found], SystemClock().now(), narrow=narrow)
        print_table(
            _FOUND,
            [
                (
                    f"{each.score:.2f}",
                    str(each.frame.frame_id),
                    at,
                    category_text(each.frame.category or "", narrow=narrow),
                    path_to_text(each.frame.path if below is None else each.frame.path.relative_to(below)),
                )
                for each, at in zip(found, moments, strict=True)
            ],
        )
    else:
        click.echo("no frame of the log looks like it", err=True)
    if not found:
        raise click.exceptions.Exit(Exit.NOTHING_FOUND)


def _tell(lesson: Lesson, *, as_json: bool) -> None:
    if as_json:
        print_json({**_document(lesson.target), "warnings": list(lesson.warnings)})
        return
    click.echo(f"{printable(lesson.target.name)}, version {lesson.target.version}")
    click.echo(_expected(lesson.target.facts))
    for warning in lesson.warnings:
        tell_warning(warning)


def _tell_how_to_use(config: Config, name: str) -> None:
    if not any(each.learned == name for each in config.targets):
        quoted = json.dumps(name, ensure_ascii=False)
        click.echo(
            f"find it in the log: emwatch target apply {shlex.quote(printable(name))}; to be told of frames to come, add "
            f"under 'targets:' in the configuration: {{name: {quoted}, learned: {quoted}}}",
            err=True,
        )


def _document(found: Any) -> dict[str, Any]:
    return {
        "name": found.name,
        "version": found.version,
        "learned_at": found.learned_at,
        "threshold": found.head.threshold,
        "space_sha256": found.head.space_sha256,
        **found.facts,
        "examples": [{"path": each.path, "sha256": each.sha256, "wanted": each.wanted} for each in found.examples],
    }


def _expected(facts: Any) -> str:
    return (
        f"expect, of frames like the examples: {_share(facts.get('recall'))} of what is meant is found; of other frames "
        f"{_share(facts.get('false_alarms'))} are false alarms; if one frame in twenty is meant, "
        f"{_share(facts.get('precision_at_5_percent'))} of the matches are right (90 % intervals, by leaving examples "
        "out; another instrument or specimen may do worse)"
    )


def _share(share: Any) -> str:
    if not isinstance(share, list) or len(share) != 3 or share[0] is None:
        return "?"
    return f"{100 * share[0]:.0f} % ({100 * share[1]:.0f}-{100 * share[2]:.0f})"
