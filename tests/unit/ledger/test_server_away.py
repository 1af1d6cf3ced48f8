from __future__ import annotations

import sys

import pytest

from emwatch.errors import AlertError, LedgerError
from emwatch.ledger.server.connect import Server


def test_a_server_without_its_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for ask in (Server("postgresql://emwatch@127.0.0.1:1/emwatch").writing, Server("postgresql://e@h/d").reading):
        with pytest.raises(LedgerError, match=r"pip install 'emwatch\[postgres\]'"), ask():
            pass


@pytest.mark.slow
def test_a_password_that_cannot_be_read_names_its_key() -> None:
    pytest.importorskip("psycopg", reason="needs the postgres extra")

    def password() -> str:
        raise AlertError("variable WORD: the secret is empty or not there")

    with pytest.raises(LedgerError, match=r"ledger\.server_password: variable WORD"):
        Server("postgresql://emwatch@127.0.0.1:1/emwatch", password).probe()
