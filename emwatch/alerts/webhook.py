"""The channel that posts each alert as JSON to an HTTP address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple
from urllib.parse import urljoin, urlsplit

from pydantic import Field, field_validator, model_validator

from emwatch import __version__
from emwatch.alerts.channel import ChannelSettings
from emwatch.alerts.secrets import Secret
from emwatch.alerts.wording import as_document
from emwatch.errors import AlertError
from emwatch.escape import escaped
from emwatch.settings import Number, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from emwatch.alerts.alert import Alert

#: The version of the document, in its key ``schema``; docs/alerts.md describes it.
SCHEMA: Final = "emwatch-alert/1"

_MOST_REDIRECTS: Final = 3
#: The two that keep the method and the body (RFC 9110, 15.4.8 and 15.4.9).
_KEEPS_THE_METHOD: Final = (307, 308)


class WebhookSettings(ChannelSettings):
    """Alerts posted to an address; ``url_from`` and ``secret`` keep what is secret out of the configuration."""

    kind: Literal["webhook"]
    url: Text | None = None
    url_from: Secret | None = None
    secret: Secret | None = None
    picture: bool = False
    timeout_seconds: Annotated[Number, Field(gt=0, le=600)] = 10.0

    @field_validator("url")
    @classmethod
    def _can_be_posted_to(cls, url: str | None) -> str | None:
        if url is not None:
            _place(url)
        return url

    @model_validator(mode="after")
    def _one_address(self) -> WebhookSettings:
        if (self.url is None) == (self.url_from is None):
            raise ValueError("write one of `url: https://...` and `url_from: {file: ...}`")
        return self

    def open(self, show: Callable[[Alert], None]) -> WebhookChannel:  # noqa: ARG002 - nothing is shown here
        """Return the channel that posts."""
        url = self.url
        read_url = self.url_from.read if self.url_from is not None else lambda: str(url)
        secret = self.secret.read if self.secret is not None else None
        return WebhookChannel(read_url, secret, picture=self.picture, timeout_s=self.timeout_seconds)

    def doubts(self) -> Iterator[str]:
        """Find a secret that is not there, and a host that cannot be found or must not be posted to."""
        for name, secret in (("url_from", self.url_from), ("secret", self.secret)):
            if secret is not None and (trouble := secret.trouble()):
                yield f"{name}: {trouble}"
        try:
            place = _place(self.url if self.url is not None else self.url_from.read() if self.url_from else "")
            _addresses(place)
        except AlertError as error:
            yield f"url: {error}"
        except ValueError as error:
            yield f"url_from: {error}"


class WebhookChannel:
    """
    Posts each alert; it is delivered when the answer is a 2xx.

    Nothing but the address configured is posted to: redirects to another host are refused, and so are link-local
    addresses, where cloud machines keep their credentials.

    Args:
        url: returns the address; called for each alert.
        secret: returns the key of the signature in ``X-Emwatch-Signature``; ``None``: no signature.
        picture: put the thumbnail into the document.
        timeout_s: for the whole exchange; only the name look-up follows the system's own limits.

    """

    kind: Final = "webhook"

    def __init__(
        self,
        url: Callable[[], str],
        secret: Callable[[], str] | None = None,
        *,
        picture: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        self.pictures = picture
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s

    def send(self, alert: Alert) -> None:
        """
        Post an alert.

        Raises:
            AlertError: no connection, no answer in time, or an answer that is not a 2xx.

        """
        body = json.dumps(webhook_document(alert), ensure_ascii=True).encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"emwatch/{__version__}",
            "Idempotency-Key": alert.key,
        }
        if self._secret is not None:
            headers["X-Emwatch-Signature"] = signature(self._secret(), body)
        deadline = time.monotonic() + self._timeout_s
        try:
            url = self._url()
            first = _place(url)
            for _ in range(_MOST_REDIRECTS + 1):
                status, location, retry_after_s = self._post(_place(url), body, headers, deadline)
                if status not in _KEEPS_THE_METHOD or not location:
                    break
                url = urljoin(url, location)
                if _place(url)[:3] != first[:3]:
                    raise AlertError(f"webhook {first.host}: redirects to another host or port, which is refused")
        except ValueError as error:
            raise AlertError(f"webhook: {error}") from error
        if not 200 <= status < 300:
            raise AlertError(f"webhook {first.host}: answered {status}", retry_after_s=retry_after_s)

    def _post(
        self, place: _Place, body: bytes, headers: dict[str, str], deadline: float
    ) -> tuple[int, str, float | None]:
        """
        Return status, Location and Retry-After in seconds of one exchange.

        A timer ends it even if the other side sends a byte a second.
        """
        import http.client  # with what it needs more than a megabyte, for those who have a webhook only

        over = threading.Event()
        with ExitStack() as stack:
            try:
                connection = http.client.HTTPConnection(place.host, place.port)
                connection.sock = connected = stack.enter_context(_connect(place, deadline))
                if place.scheme == "https":
                    context = ssl.create_default_context()
                    connection.sock = connected = stack.enter_context(
                        context.wrap_socket(connected, server_hostname=place.host, do_handshake_on_connect=False)
                    )
                timer = threading.Timer(max(0.0, deadline - time.monotonic()), _end, (connected, over))
                timer.daemon = True
                timer.start()
                stack.callback(timer.cancel)
                if isinstance(connected, ssl.SSLSocket):
                    connected.do_handshake()
                connection.request("POST", place.target, body, headers)
                answer = connection.getresponse()
                if over.is_set():  # headers that were cut off by the timer look like an answer
                    raise TimeoutError
                return (
                    answer.status,
                    answer.headers.get("Location", ""),
                    _seconds(answer.headers.get("Retry-After", "")),
                )
            except (OSError, http.client.HTTPException) as error:
                if over.is_set() or isinstance(error, TimeoutError):
                    raise AlertError(f"webhook {place.host}: no answer within {self._timeout_s:g} s") from error
                reason = escaped(getattr(error, "strerror", None) or type(error).__name__)
                raise AlertError(f"webhook {place.host}: {reason}") from error


def webhook_document(alert: Alert) -> dict[str, object]:
    """Return the document that is posted: the alert, the version of its schema, and the thumbnail if there is one."""
    document: dict[str, object] = {"schema": SCHEMA, **as_document(alert)}
    if alert.thumbnail:
        document["thumbnail_jpeg_base64"] = base64.b64encode(alert.thumbnail).decode("ascii")
    return document


def signature(secret: str, body: bytes) -> str:
    """Return the value of ``X-Emwatch-Signature``: HMAC-SHA256 (RFC 2104) of the body's bytes, in hexadecimal."""
    return f"sha256={hmac.new(secret.encode('utf-8'), body, hashlib.sha256).hexdigest()}"


def _seconds(text: str) -> float | None:
    """Return the pause that a Retry-After asks for (RFC 9110, 10.2.3); of a date, which few send, ``None``."""
    text = text.strip()
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


class _Place(NamedTuple):
    scheme: str
    host: str
    port: int
    target: str


def _place(url: str) -> _Place:
    """Return the parts of an address. Raises `ValueError` that does not repeat it: it may be secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"expected an address such as https://host/path: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("expected an address that begins with https:// or http:// and names a host")
    if parts.username is not None:
        raise ValueError("holds a user name, which is not sent; the receiver can check the signature (`secret`)")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or any(char <= " " for char in target + host):
        raise ValueError("has characters that must be written as %XX")
    return _Place(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)


def _addresses(place: _Place) -> Sequence[tuple[socket.AddressFamily, str]]:
    """Return a host's addresses. Raises `AlertError` if it has none, or one that must not be posted to."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AlertError(f"webhook {place.host}: the name cannot be found") from error
    addresses = [(family, str(address[0])) for family, _, _, _, address in found]
    for _, text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        plain = getattr(address, "ipv4_mapped", None) or address
        if plain.is_link_local or plain.is_multicast or plain.is_unspecified:
            raise AlertError(f"webhook {place.host}: {plain} is link-local, multicast or no address: refused")
    return addresses


def _connect(place: _Place, deadline: float) -> socket.socket:
    """Connect to one of the checked addresses, so that a second look-up cannot lead elsewhere."""
    last: OSError = TimeoutError()
    for family, address in _addresses(place):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        connected = socket.socket(family, socket.SOCK_STREAM)
        connected.settimeout(left_s)
        try:
            connected.connect((address, place.port))
        except OSError as error:
            connected.close()
            last = error
        else:
            return connected
    raise last


def _end(connected: socket.socket, over: threading.Event) -> None:
    over.set()
    with suppress(OSError):  # it has ended meanwhile
        connected.shutdown(socket.SHUT_RDWR)
