"""``emwatch model list|activate|rollback|export|import``: the bundles kept beside the ledger, and the one in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.commands.model import ledger_option, progress
from emwatch.cli.options import AnyPath, config_option, json_option, load_settings, logging_options
from emwatch.cli.output_file import refuse_watched_output
from emwatch.cli.terminal.display import Column, print_json, print_table, printable
from emwatch.clock import SystemClock
from emwatch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emwatch.classify.bundles.champion import BundleVerdict
    from emwatch.classify.bundles.pointer import Pointer
    from emwatch.classify.bundles.store import BundleStore, Kept
    from emwatch.config import Loaded

_COLUMNS = (
    Column("In use"),
    Column("Name", whole=True),
    Column("Bundle", whole=True),
    Column("Balanced", align="right", spare=1),
    Column("Accuracy", align="right", spare=2),
    Column("ECE", align="right", spare=3),
    Column("Where"),
)


@click.command(short_help="List the stored bundles and show which one is in use.")
@ledger_option
@config_option
@json_option
@logging_options
def list_bundles(ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    List the stored bundles and show which one is in use.

    Figures are those of the cards: balanced accuracy, accuracy and how far stated probabilities are off (ECE), all on
    frames of sources that the model did not learn from.
    """
    from emwatch.classify.bundles.store import in_use, store_of

    loaded = _settings(config_file, ledger)
    store = store_of(loaded.config)
    used = in_use(loaded.config)
    kept = store.kept()
    if used.configured and all(each.directory != used.directory for each in kept):
        kept.append(store.find_at(used.directory))
    copies = _copies(kept, used.directory)
    rows = [_document(first, in_use=first.directory == used.directory, also=others) for first, *others in copies]
    places = ["; also ".join(_place(store, each) for each in of_one) for of_one in copies]
    if as_json:
        print_json(
            {"store": store.directory, "configured": used.directory if used.configured else None, "bundles": rows}
        )
        return
    print_table(_COLUMNS, [_row(row, place) for row, place in zip(rows, places, strict=True)])
    if len(kept) > 1:
        click.echo(f"kept in {printable(store.directory)}", err=True)
    for each in kept:
        if each.trouble:
            click.echo(f"cannot be used: {printable(each.trouble)}", err=True)
    _tell_the_configured(loaded)


@click.command(short_help="Switch to another bundle, without a restart.")
@click.argument("wanted", metavar="BUNDLE")
@click.option(
    "--force",
    is_flag=True,
    help="Also switch to a bundle that is worse than the one in use, or not known to be better.",
)
@ledger_option
@config_option
@json_option
@logging_options
def activate(wanted: str, force: bool, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Switch to another bundle after it was verified and has passed its self-test.

    A running daemon switches within seconds, between two frames; every row of the ledger names the bundle that made it.
    A directory elsewhere is first copied beside the ledger. A bundle whose card shows a worse score than the one in use,
    or a score that cannot be compared, needs --force; "emwatch model compare" measures both on your frames.
    """
    from emwatch.classify.bundles.store import store_of

    loaded = _settings(config_file, ledger)
    store = store_of(loaded.config)
    kept = store.find(wanted)
    if kept.trouble:
        raise ModelError(kept.trouble)
    word = _judged(store, kept, force=force)
    if kept.directory in {store.find_default().directory, store.directory / (kept.folder or ".")}:
        store.test(kept)
    else:
        kept = store.add(kept.directory)
    pointer = store.activate(kept, SystemClock().now())
    _tell(pointer, loaded, word, as_json=as_json)


@click.command(short_help="Switch back to the previous bundle.")
@ledger_option
@config_option
@json_option
@logging_options
def rollback(ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Put the bundle that was in use before this one into use again; once more goes one further back."""
    from emwatch.classify.bundles.store import store_of

    loaded = _settings(config_file, ledger)
    store = store_of(loaded.config)
    _tell(store.rollback(SystemClock().now()), loaded, "", as_json=as_json)


@click.command(short_help="Write a bundle to one file.")
@click.argument("wanted", metavar="[BUNDLE]", required=False)
@click.option(
    "--out", metavar="FILE", type=AnyPath(), help="Write to this file instead of NAME-NUMBER.zip in the current folder."
)
@ledger_option
@config_option
@json_option
@logging_options
def export(wanted: str | None, out: Path | None, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Write a bundle to one file, for "emwatch model import" on another machine. Without BUNDLE: the one in use.

    The same bundle always gives the same bytes, so that both sides can compare the sha256.
    """
    from emwatch.classify.bundles.archive import write_archive
    from emwatch.classify.bundles.store import in_use, store_of

    loaded = _settings(config_file, ledger)
    refuse_watched_output(loaded.config, out or Path.cwd())
    store = store_of(loaded.config)
    kept = store.find_at(in_use(loaded.config).directory) if wanted is None else store.find(wanted)
    if kept.trouble:
        raise ModelError(kept.trouble)
    target = out or Path(f"{kept.short}.zip")
    sha256 = write_archive(kept.directory, target)
    if as_json:
        print_json({"file": target, "sha256": sha256, "bundle_sha256": kept.sha256, "name": kept.name})
    else:
        click.echo(f"{printable(target)}: bundle {kept.name} {kept.sha256[:12]}, sha256 of the file {sha256}")


@click.command("import", short_help="Store a bundle from a file or folder.")
@click.argument("source", metavar="FILE|DIR", type=AnyPath())
@click.option("--sha256", metavar="HEX", help="Refuse a file with another sha256.")
@click.option("--name", metavar="NAME", help="Keras: the bundle's name; default: the file's.")
@click.option(
    "--labels", metavar="A,B,...", help="Keras: the classes in the file's order, if that is not alphabetical."
)
@click.option(
    "--input-range",
    default="-1..1",
    show_default=True,
    type=click.Choice(["-1..1", "0..1", "0..255"]),
    help="Keras: how pixels were scaled in training.",
)
@ledger_option
@config_option
@json_option
@logging_options
def import_bundle(
    source: Path,
    sha256: str | None,
    name: str | None,
    labels: str | None,
    input_range: str,
    ledger: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """
    Store a bundle that "emwatch model export" wrote, or a bundle's directory. It is not in use yet.

    Everything is verified before it is stored: names, sizes, checksums, the card, the self-test.

    Or convert a classifier that Keras saved: .keras, .h5, .hdf5 or a SavedModel folder, of Xception with one softmax over
    the ten classes. Only its weights are read, into a network built here, and the agreement of both is measured. It
    gets frames as emwatch prepares them, which differs from its training; its card says so. Needs the extra
    "train".
    """
    from emwatch.classify.bundles.store import store_of
    from emwatch.train.network.keras_arrays import is_keras

    if sha256 is not None and source.is_dir():
        raise click.UsageError("--sha256 is for a file; FILE|DIR is a directory")
    loaded = _settings(config_file, ledger)
    store = store_of(loaded.config)
    if is_keras(source):
        from emwatch.train.network.keras_import import ImportOrder, import_classifier

        order = ImportOrder(
            source,
            name or source.name.partition(".")[0],
            input_range=input_range,
            sha256=sha256,
            threads=loaded.config.model.threads,
        )
        if labels is not None:
            order = replace(order, labels=tuple(each.strip() for each in labels.split(",")))
        kept = import_classifier(order, store, progress())
    else:
        if name or labels:
            raise click.UsageError("--name and --labels are for files of Keras; a bundle says both itself")
        kept = store.add(source, sha256)
    if as_json:
        print_json(_document(kept, in_use=False) | {"imported": (kept.card or {}).get("imported")})
        return
    for fact, value in ((kept.card or {}).get("imported") or {}).get("parity", {}).items():
        words = str(fact).replace("_", " ")
        click.echo(printable(f"{words}: {value}"))
    click.echo(
        f"{printable(kept.directory)}: bundle {printable(kept.name)} {kept.sha256[:12]}, verified and tested; "
        f"'emwatch model activate {kept.sha256[:12]}' puts it into use"
    )


def _settings(config_file: Path | None, ledger: Path | None) -> Loaded:
    return load_settings(config_file, {"ledger.path": ledger}, one_shot=True)


def _judged(store: BundleStore, kept: Kept, *, force: bool) -> str:
    """Compare with the bundle in use, by their cards; returns the sentence to tell. Raises `ModelError` without ``force``."""
    from emwatch.classify.bundles.champion import challenge

    try:
        champion = store.find_at(store.in_use().directory)
    except ModelError:  # what is in use cannot be told any more: activating is the way out
        champion = store.find_default()
    if champion.card is None or kept.card is None or champion.sha256 == kept.sha256:
        return ""
    verdict = challenge(champion.card, kept.card)
    if verdict.word == "unknown":
        verdict = _compared_before(store, champion, kept) or verdict
    if force or verdict.word in {"better", "equal"}:
        return verdict.reason
    if verdict.word == "worse":
        raise ModelError(
            f"{kept.name} {kept.sha256[:12]} is worse: {verdict.reason}. Put it into use nevertheless with --force."
        )
    raise ModelError(
        f"{kept.name} {kept.sha256[:12]} is not known to be better: {verdict.reason}. Compare them on frames of yours with "
        f"'emwatch model compare', or put it into use nevertheless with --force."
    )


def _compared_before(store: BundleStore, champion: Kept, kept: Kept) -> BundleVerdict | None:
    """Return the stored result of "model compare" for the two, ``None`` if there is none."""
    from emwatch.classify.bundles.champion import on_frames

    for each in reversed(store.comparisons()):
        measured = {each.first: each.first_balanced, each.second: each.second_balanced}
        if measured.keys() == {champion.sha256, kept.sha256}:
            return on_frames(
                measured[champion.sha256],
                measured[kept.sha256],
                each.frames,
                each.dataset,
                within_chance=each.within_chance,
            )
    return None


def _tell(pointer: Pointer, loaded: Loaded, word: str, *, as_json: bool) -> None:
    active, before = pointer.active, pointer.history[-1] if pointer.history else None
    if active is None:  # never after a change
        raise ModelError("no model is in use")
    if as_json:
        print_json(
            {
                "name": active.name,
                "sha256": active.sha256,
                "before": None if before is None else {"name": before.name, "sha256": before.sha256},
                "comparison": word,
                "overruled_by": loaded.config.model.bundle,
            }
        )
    else:
        click.echo(f"in use: {printable(active.name)} {active.sha256[:12]}" + (f" ({word})" if word else ""))
        if before is not None:
            click.echo(f"'emwatch model rollback' goes back to {printable(before.name)} {before.sha256[:12]}", err=True)
    _tell_the_configured(loaded)


def _tell_the_configured(loaded: Loaded) -> None:
    bundle = loaded.config.model.bundle
    if bundle is not None:
        origin = loaded.origins["model.bundle"]
        click.echo(
            f"model.bundle is {printable(bundle)} ({printable(str(origin))}): that one is in use, whatever is activated, "
            "until the key is taken out and the daemon restarted",
            err=True,
        )


def _copies(kept: list[Kept], used: Path) -> list[list[Kept]]:
    """Put bundles that are the same one together, the copy in use first: the shipped one may be kept as well."""
    together: dict[str, list[Kept]] = {}
    for each in kept:
        together.setdefault(each.sha256 or str(each.directory), []).append(each)
    return [sorted(each, key=lambda copy: copy.directory != used) for each in together.values()]


def _document(kept: Kept, *, in_use: bool, also: Sequence[Kept] = ()) -> dict[str, Any]:
    from emwatch.classify.bundles.champion import figures_of

    figures = None if kept.card is None else figures_of(kept.card)
    return {
        "in_use": in_use,
        "name": kept.name,
        "sha256": kept.sha256 or None,
        "balanced_accuracy": figures and figures.balanced_accuracy,
        "accuracy": figures and figures.accuracy,
        "ece": figures and figures.calibration_error,
        "directory": kept.directory,
        "copies": [each.directory for each in also],
        "trouble": kept.trouble or None,
    }


def _place(store: BundleStore, kept: Kept) -> str:
    if kept.directory.parent == store.directory:
        return kept.directory.name
    return "comes with emwatch" if kept.directory == store.find_default().directory else str(kept.directory)


def _row(document: dict[str, Any], place: str) -> list[str]:
    figures = (document[name] for name in ("balanced_accuracy", "accuracy", "ece"))
    return [
        "*" if document["in_use"] else "!" if document["trouble"] else "",
        document["name"],
        (document["sha256"] or "")[:12],
        *("" if value is None else f"{value:.3f}" for value in figures),
        place,
    ]
