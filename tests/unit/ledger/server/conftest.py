from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emwatch.ledger.server.connect import Server

if TYPE_CHECKING:
    from tests.postgres import Postgres


@pytest.fixture(name="server")
def _server(postgres: Postgres) -> Server:
    return Server(postgres.database(), lambda: postgres.PASSWORD)
