"""`emwatch support-bundle`: facts, and never a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.config import load
from emwatch.errors import ConfigError
from emwatch.ledger.writer import Ledger
from emwatch.service.support import parts_without_configuration, support_parts
from emwatch.testing import make_failure, make_outcome

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.config import Loaded
    from emwatch.service.support import BundlePart

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
#: Where a secret may stand: an argument, a part of an address, a file, a variable.
SECRETS = ("hunter2secret", "T00/B11/xyzzyplugh", "filetokenfiletoken", "variabletoken", "serverwordserverword")

CONFIG = """
watch: {directory: FOLDER/Patient Smith, include: ["*.tif", "Mrs Brown/*"]}
ledger:
  path: FOLDER/state of Jones/ledger.sqlite3
  server: postgresql+psycopg://brown@127.0.0.1:1/emwatch
  server_password: {file: FOLDER/server word}
model: {engine: stub}
targets: [{name: wires, category: Nanowires, path: "Patient Smith/wires/*", alerts: [horn, emwatch]}]
web: {token_file: FOLDER/token, names: [pc-of-jones.example.org]}
alerts:
  horn: {kind: command, argv: [/bin/sh, -c, "exit 1", "--password=hunter2secret", SECRET_TOKEN]}
  emwatch: {kind: command, argv: [/bin/true, emwatch, "https://user:hunter2secret@hooks.example.org/T00/B11/xyzzyplugh"]}
"""


@pytest.fixture(name="loaded")
def _loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.setenv("SECRET_TOKEN", "variabletoken")
    (tmp_path / "Patient Smith").mkdir()
    (tmp_path / "token").write_text("filetokenfiletoken\n", "utf-8")
    (tmp_path / "server word").write_text("serverwordserverword\n", "utf-8")
    file = tmp_path / "lab.yaml"
    file.write_text(CONFIG.replace("FOLDER", os.fspath(tmp_path)), "utf-8")
    loaded = load(file, environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none")
    with Ledger(loaded.config.ledger.path) as ledger:
        ledger.record(
            make_outcome(tmp_path / "Patient Smith" / "Mrs Brown.tif", targets=("wires",), channels=("horn",)), NOW
        )
        ledger.record(make_failure(tmp_path / "Patient Smith" / "Mrs Gray.tif"), NOW)
    return loaded


def journal(folder: Path) -> list[str]:
    """A program that prints what a log may hold."""
    lines = [
        "-- No entries before --",
        f"2026-03-02T12:00:00 emwatch[1]: {folder}/Patient Smith/Mrs Brown.tif: truncated",
        "2026-03-02T12:00:01 emwatch[1]: alerts: said hunter2secret, filetokenfiletoken and variabletoken",
        "2026-03-02T12:00:02 emwatch[1]: https://user:hunter2secret@hooks.example.org/T00/B11/xyzzyplugh: 404",
        "2026-03-02T12:00:03 emwatch[1]: /home/jones/x",
    ]
    return [sys.executable, "-c", f"print({chr(10).join(lines)!r})"]


def written(parts: list[BundlePart]) -> str:
    return "\n".join(part.text for part in parts)


@pytest.mark.parametrize("with_paths", [False, True])
def test_no_secret_is_in_it(loaded: Loaded, tmp_path: Path, with_paths: bool) -> None:
    parts = support_parts(loaded, NOW, with_paths=with_paths, journal=journal(tmp_path))

    assert [part.name for part in parts][-1] == "log.txt"
    assert [secret for secret in SECRETS if secret in written(parts)] == []


def test_names_of_folders_frames_and_users_are_in_it_only_when_asked(loaded: Loaded, tmp_path: Path) -> None:
    hidden, shown = (
        written(support_parts(loaded, NOW, with_paths=with_paths, journal=journal(tmp_path)))
        for with_paths in (False, True)
    )

    assert [name for name in ("Smith", "Brown", "Gray", "state of Jones", "/home/jones") if name in hidden] == []
    assert "<directory 1>/...: truncated" in hidden
    assert "Patient Smith/Mrs Brown.tif: truncated" in shown


def test_it_holds_what_helps(loaded: Loaded, tmp_path: Path) -> None:
    parts = {part.name: part.text for part in support_parts(loaded, NOW, journal=journal(tmp_path))}
    configuration = json.loads(parts["configuration.json"])["values"]
    ledger = json.loads(parts["ledger.json"])

    assert configuration["model.engine"]["value"] == "stub"
    assert configuration["model.engine"]["origin"] == "file"
    assert configuration["alerts.horn"]["value"]["kind"] == "command"
    assert configuration["targets"]["value"][0]["category"] == ["Nanowires"]
    assert ledger["rows"]["frames"] == 2
    assert any("CREATE TABLE frames" in each for each in ledger["schema"])
    assert json.loads(parts["versions.json"])["packages"]["numpy"]
    assert json.loads(parts["status.json"])["state"] == "not running"
    assert isinstance(json.loads(parts["doctor.json"])["findings"], list)
    assert "emwatch[1]: alerts: said" in parts["log.txt"]
    assert "-- No entries" not in parts["log.txt"]


def test_without_a_log_there_is_none(loaded: Loaded) -> None:
    for missing in (["/no/journalctl"], [sys.executable, "-c", "raise SystemExit(1)"]):
        assert "log.txt" not in [part.name for part in support_parts(loaded, NOW, journal=missing)]


def test_a_configuration_that_cannot_be_used_is_told_without_its_values(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("web: {port: hunter2secret}\n", "utf-8")
    with pytest.raises(ConfigError) as told:
        load(file, environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none")

    text = written(parts_without_configuration(told.value))

    assert "hunter2secret" in str(told.value)
    assert "hunter2secret" not in text
    assert "web.port" in text


def test_the_command_says_what_is_in_the_file_and_keeps_it_private(tmp_path: Path, loaded: Loaded) -> None:
    file = tmp_path / "bundle.zip"
    command = [sys.executable, "-m", "emwatch", "support-bundle", "--config", tmp_path / "lab.yaml", "--out", file]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    again = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert loaded.files
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        content = "".join(archive.read(name).decode() for name in names)
    assert all(name in ended.stdout for name in names)
    assert [secret for secret in SECRETS if secret in content] == []
    assert file.stat().st_mode & 0o777 == 0o600
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


def test_a_remedy_for_a_shell_names_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(
        f'watch: {{directory: "{tmp_path}/Ann\'s Gold Rods"}}\nledger: {{path: {tmp_path}/state/l.sqlite3}}\n'
    )
    loaded = load(file, environ={}, user_file=tmp_path / "none", system_file=tmp_path / "none")

    hidden = written(support_parts(loaded, NOW, journal=["/no/journalctl"]))

    assert "findmnt --target" in hidden
    assert "Gold Rods" not in hidden
