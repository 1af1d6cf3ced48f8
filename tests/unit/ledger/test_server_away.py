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


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        *("postgresql://e@h/d?port=x&host=h", "postgresql://e@/d?host=a,b&port=1,2,3", "postgresql://e@h:/d"),
        *("postgresql://e@127.0.0.1:1/d?connect_timeout=soon", "postgresql://e@127.0.0.1:1/d?no_such_option=1"),
        *("postgresql://e@127.0.0.1:1/d?sslmode=maybe", "postgresql://e@127.0.0.1:1/d?host=127.0.0.1&host=127.0.0.1"),
        "postgresql://e@127.0.0.1:1/d?sslmode=require&sslmode=disable",
    ],
)
def test_an_address_that_the_driver_cannot_use_is_told(url: str) -> None:
    pytest.importorskip("psycopg", reason="needs the postgres extra")
    server = Server(url)
    for ask in (server.writing, server.reading):
        with pytest.raises(LedgerError), ask():
            pass
    with pytest.raises(LedgerError):
        server.probe()
