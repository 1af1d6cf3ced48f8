from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from emwatch.alerts.webhook import SCHEMA, WebhookChannel, WebhookSettings
from emwatch.errors import AlertError
from emwatch.testing import make_alert
from tests.sinks import HttpSink, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(name="sink")
def _sink() -> Iterator[HttpSink]:
    sink = HttpSink()
    yield sink
    sink.close()


def channel_to(url: str, timeout_s: float = 10.0) -> WebhookChannel:
    return WebhookChannel(lambda: url, timeout_s=timeout_s)


def test_a_post_is_signed_and_carries_the_key_of_the_alert(sink: HttpSink) -> None:
    channel = WebhookChannel(lambda: sink.url, lambda: "a secret", picture=True)

    channel.send(make_alert("k1", stage_x_mm=1.5, thumbnail=b"\xff\xd8\xff"))

    [(headers, body)] = sink.posts
    expected = hmac.new(b"a secret", body, hashlib.sha256).hexdigest()
    assert headers["X-Emwatch-Signature"] == f"sha256={expected}"
    assert headers["Idempotency-Key"] == "k1"
    document = json.loads(body)
    assert (document["schema"], document["stage_x_mm"], document["count"]) == (SCHEMA, 1.5, 1)
    assert document["thumbnail_jpeg_base64"] == "/9j/"


@pytest.mark.parametrize(("mood", "limit_s"), [("hang", 0.5), ("drip", 0.5), ("drip", 1.5)])
def test_the_whole_exchange_has_one_time_limit(sink: HttpSink, mood: str, limit_s: float) -> None:
    """A drip of 1.5 s ends between "200 OK" and the end of the headers."""
    sink.mood = mood
    began = time.monotonic()

    with pytest.raises(AlertError, match=f"no answer within {limit_s} s"):
        channel_to(sink.url, limit_s).send(make_alert())

    assert time.monotonic() - began < 5
    assert sink.seen == 1


def test_a_redirect_to_another_host_is_refused_and_one_on_the_same_host_is_followed(sink: HttpSink) -> None:
    sink.mood = "away"
    with pytest.raises(AlertError, match="redirects to another host"):
        channel_to(sink.url).send(make_alert())
    assert sink.posts == []
    sink.mood = "moved"

    channel_to(sink.url).send(make_alert())

    assert len(sink.posts) == 1


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "2852039166", "224.0.0.1"]
)
def test_addresses_where_machines_keep_credentials_are_refused(host: str) -> None:
    url = f"http://{host}/latest/meta-data"

    with pytest.raises(AlertError, match="refused"):
        channel_to(url).send(make_alert())
    assert any("refused" in doubt for doubt in WebhookSettings(kind="webhook", url=url).doubts())


def test_an_address_that_is_secret_stands_in_no_message(sink: HttpSink, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{sink.url}/T0K3N?key=T0K3N\n")
    settings = WebhookSettings(kind="webhook", url_from={"file": tmp_path / "url"})
    channel = settings.open(lambda _alert: None)
    messages = list(settings.doubts())
    for mood in ("refuse", "away"):
        sink.mood = mood
        with pytest.raises(AlertError) as caught:
            channel.send(make_alert())
        messages.append(str(caught.value))
    (tmp_path / "url").write_text(f"http://127.0.0.1:{free_port()}/T0K3N")
    with pytest.raises(AlertError) as caught:
        channel.send(make_alert())
    (tmp_path / "url").write_text("T0K3N")
    with pytest.raises(AlertError) as wrong:
        channel.send(make_alert())

    messages += [str(caught.value), str(wrong.value)]
    assert len(messages) == 4
    assert not any("T0K3N" in each for each in messages)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "write one of"),
        ({"url": "http://a/", "url_from": {"env": "A"}}, "write one of"),
        ({"url": "ftp://a/"}, "https://"),
        ({"url": "http:///a"}, "https://"),
        ({"url": "http://me:T0K3N@a/"}, "user name"),
        ({"url": "http://a:99999/"}, "expected an address"),
        ({"url": "http://a/b c"}, "%XX"),
        ({"url_from": {"env": "A", "credential": "b"}}, "one of `env"),
    ],
)
def test_an_address_that_cannot_be_posted_to_is_refused_when_it_is_configured(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        WebhookSettings(kind="webhook", **keys)

    assert "T0K3N" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "retry_after_s"),
    [("7", 7.0), (" 120 ", 120.0), ("", None), ("soon", None), ("-1", None), ("9" * 400, None)],
)
def test_a_pause_that_the_receiver_asks_for_is_passed_on(
    sink: HttpSink, said: str, retry_after_s: float | None
) -> None:
    sink.mood, sink.retry_after = "busy", said

    with pytest.raises(AlertError, match="answered 429") as refused:
        WebhookChannel(lambda: sink.url).send(make_alert())
    assert refused.value.retry_after_s == retry_after_s
