"""Every check in turn."""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from emwatch import __version__
from emwatch.service.doctor import processor, versions
from emwatch.service.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from emwatch.config import Config
    from emwatch.service.doctor.finding import Checked, Machine

#: The checks after those of versions and processor, by module: each is imported once the processor is known to run it.
#: In the order in which a fault of one explains those of the next.
_FURTHER: Final = (
    "emwatch.service.doctor.directories",
    "emwatch.service.doctor.ledger",
    "emwatch.service.doctor.server",
    "emwatch.service.doctor.space",
    "emwatch.service.doctor.clocks",
    "emwatch.service.doctor.model",
    "emwatch.service.doctor.taught",
    "emwatch.service.doctor.channels",
    "emwatch.service.doctor.page",
    "emwatch.service.doctor.daemon",
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What all checks found."""

    checked: tuple[Checked, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, the worst first."""
        order = list(Level)
        found = [each for checked in self.checked for each in checked.findings]
        return tuple(sorted(found, key=lambda each: order.index(each.level)))

    @property
    def healthy(self) -> bool:
        """Whether nothing has to be done."""
        return all(each.level == Level.NOTE for each in self.findings)

    def document(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "emwatch": __version__,
            "healthy": self.healthy,
            "findings": [asdict(each) | {"level": str(each.level)} for each in self.findings],
            "checks": [{"check": each.check, "found": each.fact} for each in self.checked],
        }


def examine(config: Config, machine: Machine) -> Examination:
    """
    Run every check; takes some seconds, most of them for the model.

    Nothing is written to a watched directory. Each file system that hangs costs ``machine.patience_s``. On a processor
    that cannot run the rest of the program, no further check is made.
    """
    checked = [*versions.check(config, machine), *processor.check(config, machine)]
    if not any(each.findings for each in checked):
        for name in _FURTHER:
            module = importlib.import_module(name)
            checked += module.check(config, machine)
    return Examination(tuple(checked))
