"""Whether alerts would arrive: each channel as configured, and what the ledger holds for it. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.errors import LedgerError
from emwatch.ledger.summary import summarise
from emwatch.service.doctor.finding import Checked, Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.ledger.summary import ChannelBacklog
    from emwatch.service.doctor.finding import Machine


def check(config: Config, _machine: Machine) -> Iterator[Checked]:
    """Check every channel that is configured."""
    try:
        alerts = summarise(config.ledger.path).alerts or {}
    except (LedgerError, OSError):  # told by the ledger's own check
        alerts = {}
    for name, settings in config.alerts.channels.items():
        findings = [_doubt(name, each) for each in settings.doubts()]
        if name in alerts and (alerts[name].dead or alerts[name].last_error):
            findings.append(_undelivered(name, alerts[name]))
        yield Checked(f"alerts.{name}", settings.kind, tuple(findings))


def _doubt(name: str, doubt: str) -> Finding:
    key = doubt.partition(": ")[0]
    program = " (the program must be there and executable by emwatch's user)" if key == "argv" else ""
    return Finding(
        f"alerts.{name}",
        Level.ERROR,
        f"alerts.{name}.{doubt}",
        "a channel that takes alerts",
        f"correct alerts.{name}.{key}{program}, then: emwatch config check",
    )


def _undelivered(name: str, waiting: ChannelBacklog) -> Finding:
    parts = [f"{waiting.dead} alerts given up"] if waiting.dead else []
    parts += [f"{waiting.pending} alerts waiting"] if waiting.pending else []
    why = f": {waiting.last_error}" if waiting.last_error else ""
    return Finding(
        f"alerts.{name}",
        Level.ERROR if waiting.pending else Level.WARNING,
        ", ".join(parts) + why,
        "every alert delivered",
        f"mend what alerts.{name} runs, then: systemctl reload emwatch (see them with: emwatch log --hits)",
    )
