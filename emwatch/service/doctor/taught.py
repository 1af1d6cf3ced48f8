"""Whether frames can meet the targets that were taught: else an alert that is waited for never comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.errors import ModelError
from emwatch.service.doctor.finding import Checked, Finding, Level
from emwatch.teaching.doubts import doubts, space_in_use
from emwatch.teaching.store import TargetStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine


def check(config: Config, _machine: Machine) -> Iterator[Checked]:
    """Check the targets of the configuration that were taught, if there are any."""
    taught = sum(each.learned is not None for each in config.targets)
    if not taught:
        return
    learned, troubles = TargetStore(config.ledger.path).survey()
    try:
        space = space_in_use(config)
    except ModelError:  # told by the model's own check
        return
    said = [*troubles.values(), *doubts(config.wanted(), learned, space)]
    yield Checked("targets", f"{taught} taught", tuple(map(_finding, said)))


def _finding(said: str) -> Finding:
    mend = "emwatch target list; emwatch target learn; then: emwatch config check"
    return Finding("targets", Level.WARNING, said, "a taught target that frames can meet", mend)
