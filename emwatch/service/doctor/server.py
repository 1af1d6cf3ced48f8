"""The server that the ledger is handed over to: whether it would take rows. Nothing is written there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.errors import LedgerError
from emwatch.service.doctor.finding import Checked, Finding, Level, NoAnswerError, answer_in_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.config import Config
    from emwatch.service.doctor.finding import Machine

#: Looking for the name of a host may take longer than other questions.
_LONGEST_S = 30.0
_MEND = "what it says; then: emwatch doctor (the set-up of a server: emwatch docs many-microscopes)"


def check(config: Config, _machine: Machine) -> Iterator[Checked]:
    """Check the server, if one is configured."""
    if config.ledger.server is None:
        return
    from emwatch.ledger.server.connect import Server

    server = Server(config.ledger.server, config.ledger.read_server_password)
    try:
        yield Checked("ledger.server", answer_in_time(server.probe, _LONGEST_S))
    except (LedgerError, NoAnswerError) as error:
        found = str(error) or f"{server.name}: no answer"
        expected = "a server that takes rows; frames are recorded in the local ledger until then"
        yield Checked("ledger.server", server.name, (Finding("ledger.server", Level.WARNING, found, expected, _MEND),))
