"""``emwatch serve``: the local page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.options import AnyPath, LedgerFile, config_option, load_config, logging_options
from emwatch.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Serve the local page: live view, gallery, review, ask.")
@config_option
@click.option("--ledger", type=LedgerFile(), help="Show this ledger instead of that of ledger.path.")
@click.option("--host", help="Listen on this address instead of web.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead of web.port; 0: a free one.")
@click.option("--cache", type=AnyPath(), help="Keep pictures in this folder instead of the user's cache.")
@logging_options
def serve(
    config_file: Path | None, ledger: Path | None, host: str | None, port: int | None, cache: Path | None
) -> None:
    """
    Serve the local page until Ctrl-C.

    It reads the ledger and needs no running daemon. Off this machine it is reachable only with a token (web.token_file).
    """
    from emwatch.config.schema import page_is_installed

    if not page_is_installed():
        raise ConfigError("the page needs the web extra: pip install 'emwatch[web]'")
    config = load_config(config_file, {"ledger.path": ledger, "web.host": host, "web.port": port})
    from emwatch.web.server import serve_page

    serve_page(config, cache, lambda address: click.echo(f"the page is at {address}  (Ctrl-C ends it)", err=True))
