"""Whole bundles that run: the shipped one under another name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from emwatch.classify.bundles.bundle import default_directory

#: What only teaching another head takes: 16 of 38 MB.
_TO_TEACH = ("lessons.npz", "projection.npz")


def make_bundle_like_default(directory: Path, name: str, protocol: str | None = None, **figures: Any) -> Path:
    """Copy what classifies of the shipped bundle to ``directory/name``; other ``figures`` make it another bundle."""
    made = Path(shutil.copytree(default_directory(), directory / name, ignore=shutil.ignore_patterns(*_TO_TEACH)))
    card = yaml.load((made / "card.yaml").read_bytes(), yaml.CSafeLoader)
    card["name"] = name
    for file in _TO_TEACH:
        del card["files"][file]
    if protocol is not None:
        card["metrics"]["protocol"] = protocol
    card["metrics"]["without_bar"].update(figures)
    (made / "card.yaml").write_text(yaml.dump(card, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")
    return made
