from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from emwatch.alerts.notify import NotifyChannel, NotifySettings
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
