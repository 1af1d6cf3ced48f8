from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.notify import NotifyChannel, NotifySettings
from emwatch.alerts.wording import as_lines
from emwatch.errors import AlertError
from emwatch.testing import make_alert

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("text", ["# mailto://me@lab", "\n# off for now\n  # json://server\n"])
def test_an_alert_that_nobody_would_get_is_not_taken(tmp_path: Path, text: str) -> None:
    file = tmp_path / "addresses"
    file.write_text(text, encoding="utf-8")
    settings = NotifySettings.model_validate({"kind": "notify", "urls_from": {"file": file}})

    with pytest.raises(AlertError, match="holds no address"):
        NotifyChannel(settings.urls_from.read).send(make_alert())
    if importlib.util.find_spec("apprise") is not None:
        assert any("holds no address" in doubt for doubt in settings.doubts())


def test_a_stage_at_rest_is_at_0_degrees() -> None:
    assert "stage tilt 0.0°" in as_lines(make_alert(stage_tilt_deg=-8.9e-05))
    assert "stage tilt 32.0°" in as_lines(make_alert(stage_tilt_deg=31.9981))


def test_a_message_about_trouble_says_when_it_was_noticed_and_names_no_frame() -> None:
    said = "\n".join(as_lines(make_alert(frame_id=0, target="emwatch", queued_at="2026-11-29T22:00:00+01:00")))

    assert "noticed 2026-11-29T22:00:00+01:00" in said
    assert "frame" not in said
    assert "frame 7, recorded" in "\n".join(as_lines(make_alert(frame_id=7)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's import
@pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="needs the notify extra")
@pytest.mark.parametrize("url", ["mailto://anna:secret@127.0.0.1:25?to=b@c.d&from=x@y.z", "nonsense://token-xyz"])
def test_an_address_that_apprise_refuses_stands_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    file = tmp_path / "addresses"
    file.write_text(url, encoding="utf-8")
    settings = NotifySettings.model_validate({"kind": "notify", "urls_from": {"file": file}})

    assert list(settings.doubts()) == ["urls_from: address 1 is none that Apprise knows"]
    assert caplog.text == ""
