"""``emwatch reclassify``: let another bundle judge recorded frames, beside what was said of them before."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.exclusive import exclusive_ledger
from emwatch.cli.exits import Exit
from emwatch.cli.frame_filters import filter_of, frame_filters
from emwatch.cli.options import config_option, json_option, ledger_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, printable
from emwatch.cli.terminal.progress import counting
from emwatch.clock import SystemClock
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config
    from emwatch.ingest.reclassify import Reclassified
    from emwatch.ledger.query import LogFilter
    from emwatch.ledger.writer import Ledger

#: Problems told one by one on stderr; the rest are counted, and --json has all.
_MOST_TOLD = 20


@click.command(short_help="Classify recorded frames again with another model.")
@frame_filters
@click.option(
    "--bundle", metavar="BUNDLE", help="Classify with this bundle instead of the one in use: name, number or directory."
)
@click.option("--alerts", is_flag=True, help="Also match targets and queue alerts for new matches.")
@ledger_option
@config_option
@json_option
@logging_options
def reclassify(
    bundle: str | None, alerts: bool, ledger: Path | None, config_file: Path | None, as_json: bool, **asked: Any
) -> None:
    """
    Classify recorded frames again with another model; earlier predictions are kept.

    The log shows the newest prediction. A file must exist and hold the recorded bytes; otherwise it is listed and the
    exit code is 4. Frames that this model has already classified are skipped, so that a run that was stopped continues.
    A frame that lacks the embedding by which targets are learned gets it in passing.
    Without --alerts, no match and no alert is made. The daemon must be stopped: the ledger has one writer.

    For example:

    \b
      emwatch reclassify --since yesterday
      emwatch reclassify --session last --bundle wires --alerts
    """  # noqa: D301 - click reads the backspace: it keeps the lines below as they are
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    from emwatch.ingest.reclassify import Reclassified
    from emwatch.ledger.sqlite_file import must_be_there

    must_be_there(config.ledger.path)  # opening it for writing would make one
    wanted, result, finished = filter_of(asked), Reclassified(), False
    with exclusive_ledger(config, what="reclassify") as opened:
        classifier = _classifier(config, bundle)
        try:
            _work(config, opened, classifier, wanted, result, alerts=alerts)
            finished = True
        finally:
            if finished or result.done:
                _report(result, classifier, as_json=as_json, finished=finished)
    if result.problems:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _classifier(config: Config, wanted: str | None) -> Classifier:
    from emwatch.classify.bundles import store
    from emwatch.classify.classifier import Classifier

    if wanted is None:
        return store.in_use(config).load(config.model.engine, config.model.threads)
    kept = store.store_of(config).find(wanted)
    if kept.trouble:
        raise ModelError(kept.trouble)
    return Classifier.load(kept.directory, config.model.engine, config.model.threads)


def _work(
    config: Config, ledger: Ledger, classifier: Classifier, wanted: LogFilter, result: Reclassified, *, alerts: bool
) -> None:
    from emwatch.classify.preprocess import prepared_by
    from emwatch.ingest.reclassify import reclassify as judge_again
    from emwatch.ledger.query import LedgerReader
    from emwatch.readers.sandbox.frame_sandbox import Sandbox
    from emwatch.readers.sandbox.limits import reading_limits
    from emwatch.teaching.store import with_judges

    with ExitStack() as stack:
        reader = stack.enter_context(LedgerReader(config.ledger.path))
        sandbox = stack.enter_context(Sandbox(prepared_by(config.model.views), reading_limits(config)))
        space = None if classifier.space is None else classifier.space.sha256
        total = reader.count_unjudged(wanted, classifier.bundle_sha256, space)
        result.known = reader.count(wanted) - total
        advance = stack.enter_context(counting("judging frames again", total))
        judge_again(
            reader=reader,
            ledger=ledger,
            files=sandbox,
            judge=classifier,
            bundle_sha256=classifier.bundle_sha256,
            space_sha256=space,
            wanted=wanted,
            targets=with_judges(config.wanted(), config.ledger.path) if alerts else None,
            clock=SystemClock(),
            tell=advance,
            doubt_by_scale=config.model.doubt_by_scale,
            result=result,
        )


def _report(result: Reclassified, classifier: Classifier, *, as_json: bool, finished: bool) -> None:
    name = "stub" if classifier.bundle is None else classifier.bundle.name
    if as_json:
        print_json(
            {
                "bundle": {"name": name, "sha256": classifier.bundle_sha256},
                "finished": finished,
                "judged": result.judged,
                "judged_before": result.known,
                "embedded": result.embedded,
                "moves": [{"before": old, "now": new, "frames": n} for (old, new), n in result.moves.most_common()],
                "alerts": result.alerts,
                "held_back": result.held_back,
                "problems": [{"path": each.path, "kind": each.kind, "reason": each.reason} for each in result.problems],
            }
        )
        return
    for each in result.problems[:_MOST_TOLD]:
        click.echo(f"{each.kind}: {printable(each.reason)}", err=True)
    if len(result.problems) > _MOST_TOLD:
        click.echo(f"and {len(result.problems) - _MOST_TOLD} more; --json has all", err=True)
    if not (result.done or result.known):
        click.echo("no recorded frame meets the filters", err=True)
        return
    rows = [(old, new, str(count)) for (old, new), count in result.moves.most_common()]
    if rows:
        print_table((Column("Before", whole=True), Column("Now", whole=True), Column("Frames", align="right")), rows)
    kinds = ("missing", "changed", "unreadable")
    counts = [f"{sum(each.kind == kind for each in result.problems)} {kind}" for kind in kinds]
    words = [f"{result.judged} judged by {printable(name)} {classifier.bundle_sha256[:12]}"]
    words += [f"{result.known} were before"] if result.known else []
    words += [f"{result.embedded} got the embedding they lacked"] if result.embedded else []
    words += [f"{sum(result.moves.values())} of another category than before", *counts]
    words += [f"{counted(result.alerts, 'alert')} queued for 'emwatch run' to deliver"] if result.alerts else []
    words += [f"{result.held_back} too old for an alert (alerts.max_age_days)"] if result.held_back else []
    words += [] if finished else ["stopped; the same command goes on from here"]
    click.echo("; ".join(words), err=True)
