"""``emwatch model compare``: two bundles side by side, on the same labelled frames or by their cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.commands.evaluate import HEADLINE
from emwatch.cli.commands.model import ledger_option
from emwatch.cli.exits import Exit
from emwatch.cli.options import AnyPath, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, counted, print_json, print_table, printable, tell_warning
from emwatch.cli.terminal.progress import counting
from emwatch.cli.train_options import seed_option
from emwatch.clock import SystemClock
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.classify.bundles.store import BundleStore, Kept
    from emwatch.config import Config


@click.command(short_help="Compare two bundles on the same labelled frames.")
@click.argument("first", metavar="BUNDLE")
@click.argument("second", metavar="BUNDLE")
@click.argument("dataset", metavar="[DATASET]", required=False, type=AnyPath())
@click.option("--cards", is_flag=True, help="Only show the scores of both cards side by side.")
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Use this part of a manifest; default: test, if the dataset has parts.",
)
@seed_option("The same seed gives the same intervals.")
@ledger_option
@config_option
@json_option
@logging_options
def compare(
    first: str,
    second: str,
    dataset: Path | None,
    cards: bool,
    part: str | None,
    seed: int,
    ledger: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Compare two bundles on the same labelled frames: both scores, their difference, and which one is right where.

    Intervals hold 19 times of 20 if other sources had been gathered. Frames that taught one of them, by their sha256 or by
    the sources on its card, are left out. With fewer than five sources left neither is called better. Else the result is
    remembered for "emwatch model activate", which needs it if cards cannot be compared.
    Ends with 4 when some files could not be read.
    """
    from emwatch.classify.bundles.store import store_of

    if (dataset is None) != cards:
        raise click.UsageError("give a DATASET of labelled frames, or --cards without one")
    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    store = store_of(config)
    both = store.find(first), store.find(second)
    for each in both:
        if each.trouble:
            raise ModelError(each.trouble)
    if dataset is None:
        _lay_out_cards(both, as_json=as_json)
        return
    document = _measured(config, both, dataset, part, seed)
    if document["enough_sources"]:
        _remember(store, both, document, dataset)
    if as_json:
        print_json(document)
    else:
        _print(both, document)
    if document["unreadable"]:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _measured(config: Config, both: tuple[Kept, Kept], dataset: Path, part: str | None, seed: int) -> dict[str, Any]:
    from emwatch.classify.classifier import Classifier
    from emwatch.frame import path_to_text
    from emwatch.train.dataset.labelled import Part, open_dataset
    from emwatch.train.evaluate.compare import comparison, judge_both
    from emwatch.train.evaluate.evaluate import chosen
    from emwatch.train.heads.lessons import taught_sha256

    frames, judged_by = chosen(open_dataset(dataset), None if part is None else Part(part))
    one, other = (Classifier.load(each.directory, threads=config.model.threads) for each in both)
    with counting("judging frames with both", len(frames)) as tell:
        pairs, unreadable = judge_both(
            one, other, frames, tell, config.model.views, doubt_by_scale=config.model.doubt_by_scale
        )
    taught = taught_sha256(both[0].directory) | taught_sha256(both[1].directory)
    return {
        "bundles": {
            which: {"name": each.name, "sha256": each.sha256}
            for which, each in zip(("first", "second"), both, strict=True)
        },
        "dataset": str(dataset.absolute()),
        "part": judged_by,
        "views": config.model.views,
        **comparison(pairs, (both[0].card or {}, both[1].card or {}), seed, taught),
        "unreadable": [{"path": path_to_text(frame.path), "message": message} for frame, message in unreadable],
    }


def _remember(store: BundleStore, both: tuple[Kept, Kept], document: dict[str, Any], dataset: Path) -> None:
    from emwatch.classify.bundles.store import Compared

    store.remember(
        Compared(
            first=both[0].sha256,
            second=both[1].sha256,
            first_balanced=document["first"]["balanced_accuracy"]["value"],
            second_balanced=document["second"]["balanced_accuracy"]["value"],
            frames=document["frames"],
            dataset=str(dataset.absolute()),
            at=SystemClock().now().isoformat(),
            within_chance=_is_within_chance(document),
        )
    )


def _is_within_chance(document: dict[str, Any]) -> bool:
    apart = document["difference"]["balanced_accuracy"]
    return bool(apart["low"] <= 0 <= apart["high"])


def _lay_out_cards(both: tuple[Kept, Kept], *, as_json: bool) -> None:
    from emwatch.classify.bundles.champion import challenge, figures_of

    cards = [each.card or {} for each in both]
    verdict = challenge(cards[0], cards[1])
    found = [figures_of(card) for card in cards]
    figures = {
        name: [each and getattr(each, name) for each in found]
        for name in ("balanced_accuracy", "accuracy", "calibration_error")
    }
    if as_json:
        bundles = [{"name": each.name, "sha256": each.sha256} for each in both]
        print_json({"bundles": bundles, "second": verdict.word, "reason": verdict.reason, "figures": figures})
        return
    rows = [
        [name.replace("_", " "), *("" if value is None else f"{value:.3f}" for value in values)]
        for name, values in figures.items()
    ]
    print_table(_columns(both), rows)
    word = "cannot be judged by the cards" if verdict.word == "unknown" else f"is {verdict.word}"
    click.echo(f"{printable(both[1].name)} {word}: {printable(verdict.reason)}")


def _columns(both: tuple[Kept, Kept]) -> list[Column]:
    names = [each.name for each in both]
    if names[0] == names[1]:
        names = [each.short for each in both]
    return [Column("Figure", whole=True), *(Column(name, align="right") for name in names)]


def _print(both: tuple[Kept, Kept], document: dict[str, Any]) -> None:
    from emwatch.train.evaluate.compare import LEAST_SOURCES

    columns = [*_columns(both), Column("Difference", align="right"), Column("19 times of 20", align="right")]
    rows = []
    for name, title in HEADLINE.items():
        apart = document["difference"][name]
        values = [f"{document[which][name]['value']:.3f}" for which in ("first", "second")]
        rows.append([title, *values, f"{apart['value']:+.3f}", f"{apart['low']:+.3f} .. {apart['high']:+.3f}"])
    for name, recall in document["recall"].items():
        values = [f"{recall[which]:.2f}" for which in ("first", "second")]
        rows.append(
            [
                f"recall {name}",
                *values,
                f"{recall['second'] - recall['first']:+.2f}",
                counted(recall["frames"], "frame"),
            ]
        )
    print_table(columns, rows)
    paired = document["paired"]
    left_out = f", {document['left_out']} left out that one of them has learned from" if document["left_out"] else ""
    click.echo(
        f"{counted(document['frames'], 'frame')} of {counted(document['sources'], 'source')}{left_out}: both right {paired['both_right']}, "
        f"only {printable(both[0].name)} {paired['only_first_right']}, only {printable(both[1].name)} "
        f"{paired['only_second_right']}, both wrong {paired['both_wrong']}"
    )
    if not document["enough_sources"]:
        click.echo(
            f"neither is called better: {counted(document['sources'], 'source')} that taught neither "
            f"{'is' if document['sources'] == 1 else 'are'} too few; give frames of {LEAST_SOURCES} or more other sessions"
        )
        _print_troubles(document)
        return
    apart = document["difference"]["balanced_accuracy"]
    chance = "within chance" if _is_within_chance(document) else "more than chance among the sources"
    word = "as good" if apart["value"] == 0 else "better" if apart["value"] > 0 else "worse"
    click.echo(f"{printable(both[1].name)} is {word}" + (f", {chance}" if apart["value"] else ""))
    _print_troubles(document)


def _print_troubles(document: dict[str, Any]) -> None:
    for warning in document["warnings"]:
        tell_warning(warning)
    for each in document["unreadable"]:
        click.echo(f"not read: {printable(each['message'])}", err=True)
