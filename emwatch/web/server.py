"""Serves the page: checks which hosts may reach it, then passes requests to waitress."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from emwatch.errors import EmwatchError
from emwatch.pictures.cache import picture_folder
from emwatch.web.app import Settings, create_app
from emwatch.web.security import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emwatch.config import Config

#: Each open page holds one thread for its events; the rest answers requests.
_THREADS: Final = 48


def serve_page(config: Config, cache: Path | None, ready: Callable[[str], None]) -> None:
    """
    Serve until the process is stopped; ``ready`` hears the address.

    Raises:
        ConfigError: the page would be reachable from other machines without a token.
        EmwatchError: the address cannot be used.

    """
    from waitress import create_server

    web = config.web
    token = web.token_to_serve_with()
    names = frozenset({"localhost", "127.0.0.1", "::1", web.host, *web.names})
    app = create_app(config, Settings(Access(names, token), cache or picture_folder(), web.ask_per_minute))
    try:
        server = create_server(
            app,
            host=web.host,
            port=web.port,
            threads=_THREADS,
            ident="emwatch",
            channel_timeout=30,
            # Else all of a larger upload is on the disk before it is refused.
            max_request_body_size=app.config["MAX_CONTENT_LENGTH"],
            clear_untrusted_proxy_headers=True,
        )
    except (OSError, socket.gaierror) as error:
        raise EmwatchError(
            f"the page cannot be served on {web.host}:{web.port}: {error.strerror or error}; choose another web.port"
        ) from error
    host = f"[{web.host}]" if ":" in web.host else web.host
    ready(f"http://{host}:{server.effective_port}/")
    try:
        server.run()
    finally:
        server.close()
