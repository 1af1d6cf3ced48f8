"""What a server is called in messages; without what a connection to it needs, so that it costs nothing to ask."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit


def server_name(url: str) -> str:
    """Return ``host:port/database`` of ``postgresql+psycopg://user@host:port/database?options``."""
    parts = urlsplit(url)
    host = parts.hostname or ",".join(parse_qs(parts.query).get("host", ["localhost"]))
    return f"{host}{f':{parts.port}' if parts.port else ''}{unquote(parts.path)}"
