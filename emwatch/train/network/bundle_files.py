"""Writes a bundle's files: whole or not at all, and only after it has been opened and tested as a user would."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from emwatch.classify.bundles.bundle import CARD, Bundle
from emwatch.classify.classifier import Classifier

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_bundle(directory: Path, contents: Mapping[str, bytes], card: Mapping[str, Any]) -> Bundle:
    """
    Write a bundle's files into ``directory``, replacing those there, once the finished bundle has passed its self-test.

    ``contents``: the files by name, all but the card, whose ``files`` is filled in here. Raises `ModelError` from the
    test and leaves the directory as it was.
    """
    directory.mkdir(parents=True, exist_ok=True)
    facts = {name: {"bytes": len(content), "sha256": sha256(content)} for name, content in contents.items()}
    text = yaml.safe_dump({**card, "files": facts}, sort_keys=False, allow_unicode=True, width=110)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as folder:
        made = Path(folder)
        for name, content in contents.items():
            (made / name).write_bytes(content)
        (made / CARD).write_text(text, encoding="utf-8")
        Classifier.load(made)
        # The card last: until it is there, the old card refuses the new files rather than trusting half of them.
        for name in (*contents, CARD):
            if not _same(directory / name, made / name):
                shutil.move(made / name, directory / name)
                (directory / name).chmod(0o644)
    return Bundle.open(directory)


def sha256(content: bytes) -> str:
    """Return the sha256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _same(there: Path, made: Path) -> bool:
    return there.is_file() and there.read_bytes() == made.read_bytes()
