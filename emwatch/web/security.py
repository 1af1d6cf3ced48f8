"""Who may use the page: checked before anything else is done with a request."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flask import abort, request

if TYPE_CHECKING:
    from flask import Flask, Response

#: Name of the cookie that holds the token once a browser has shown it.
COOKIE: Final = "emwatch_token"
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Answered without a token: a browser needs them to ask for it.
_OPEN: Final = frozenset({"pages.login", "static", "monitoring.healthz"})
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers say of a form's own page that it is "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Access:
    """
    What a request must show.

    Attributes:
        names: host names and addresses under which the page may be asked for, as people write them. A page on the
            internet whose name is made to point here (DNS rebinding) asks under its own name, and is refused.
        token: what a browser off this machine must know; empty if the page is bound to this machine only.

    """

    names: frozenset[str]
    token: str = ""

    def install(self, app: Flask) -> None:
        """Check every request to ``app`` and mark every response."""
        app.before_request(self._check)
        app.after_request(_with_headers)

    def accepts(self, token: str) -> bool:
        """Return whether this is the token; takes the same time for every wrong one."""
        return not self.token or hmac.compare_digest(token.encode(), self.token.encode())

    def _check(self) -> None:
        name = _host_name(request.host)
        if not name or name not in map(_host_name, self.names):
            abort(421, f"this page is not served under the name {request.host!r}; add it to web.names if it should be")
        if request.method in _CHANGING and not _comes_from_here():
            abort(403, "the request comes from another page than this one; nothing was changed")
        if self.token and request.endpoint not in _OPEN and not self.accepts(_shown_token()):
            abort(401, "this page asks for a token")


def _host_name(host: str) -> str:
    """Return a name as browsers send it: in small letters, without scheme, port and last dot; "" if it is none."""
    host = host.rpartition("://")[2]
    if host.count(":") > 1 and not host.startswith("["):  # an IPv6 address
        host = f"[{host}]"
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _comes_from_here() -> bool:
    """
    Return whether a change comes from this page, as its browser says, or from a program, which no other page can steer.

    Sec-Fetch-Site is the browser's own comparison, true also behind a web server that encrypts; it is not sent to a plain
    address of another machine, where Origin is.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"none", "same-origin"}
    origin = request.headers.get("Origin")
    return origin is None or origin in {f"http://{request.host}", f"https://{request.host}"}


def _shown_token() -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else request.cookies.get(COOKIE, "")


def _with_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
