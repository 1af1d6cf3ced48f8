"""Whether the disks of the ledger and of its backups have room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from emwatch.frame import path_to_text
from emwatch.service.doctor.finding import Checked, Finding, Level, NoAnswerError, answer_in_time, in_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: Below this a warning; below a tenth of it an error.
LITTLE_BYTES: Final = 1 << 30
_FEW_FILES: Final = 1000


def check(config: Config, machine: Machine) -> Iterator[Checked]:
    """Check each disk once."""
    seen: set[int] = set()
    for what, folder in (("ledger", config.ledger.path.parent), ("backups", config.ledger.backups)):
        try:
            checked = answer_in_time(lambda folder=folder, what=what: _checked(what, folder, seen), machine.patience_s)  # type: ignore[misc]
        except (NoAnswerError, OSError) as error:
            found = f"{path_to_text(folder)}: {getattr(error, 'strerror', None) or 'no answer'}"
            mend = f"mount it again: findmnt --target {in_shell(folder)}"
            yield Checked(
                f"disk.{what}", found, (Finding(f"disk.{what}", Level.ERROR, found, "a disk that answers", mend),)
            )
            continue
        if checked is not None:
            yield checked


def existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _checked(what: str, folder: Path, seen: set[int]) -> Checked | None:
    place = existing(folder)
    device = place.stat().st_dev
    if device in seen:
        return None
    seen.add(device)
    usage = os.statvfs(place)
    free, whole = usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize
    name = path_to_text(folder)
    fact = f"{free / 1e9:.1f} GB free of {whole / 1e9:.1f} GB at {name}"
    findings = []
    if free < LITTLE_BYTES:
        findings.append(
            Finding(
                f"disk.{what}",
                Level.ERROR if free < LITTLE_BYTES // 10 else Level.WARNING,
                f"{free / 1e6:.0f} MB free at {name}",
                f"at least {LITTLE_BYTES / 1e6:.0f} MB: when the disk is full no frame is recorded",
                f"du -xh --max-depth=2 {in_shell(folder)}; old rows go with: emwatch db prune",
            )
        )
    if usage.f_files and usage.f_favail < _FEW_FILES:
        findings.append(
            Finding(
                f"disk.{what}",
                Level.ERROR,
                f"room for {usage.f_favail} more files at {name}",
                f"room for at least {_FEW_FILES} (inodes)",
                f"du -x --inodes --max-depth=2 {in_shell(folder)}",
            )
        )
    return Checked(f"disk.{what}", fact, tuple(findings))
