from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from emwatch import filesystem
from emwatch.cli.main import cli
from emwatch.config import leaf_keys

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Any]


@pytest.fixture(name="sem")
def _sem(tmp_path: Path) -> Path:
    folder = tmp_path / "sem"
    folder.mkdir()
    return folder


def _warnings(*arguments: str | Path) -> list[str]:
    result = CliRunner().invoke(cli, ["config", "check", "--json", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return [each for each in json.loads(result.stdout)["warnings"] if not each.startswith("model.bundle: no model")]


def test_every_value_is_shown_with_its_origin(emwatch: Run, tmp_path: Path, sem: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("model:\n  threads: 3\nalerts:\n  horn: {kind: command, argv: [sh]}\n", encoding="utf-8")

    ended = emwatch("config", "check", sem, "--config", file, "--json", EMWATCH_LOG_LEVEL="debug")
    document = json.loads(ended.stdout)
    values = document["values"]

    assert (ended.returncode, document["valid"], document["files"]) == (0, True, [str(file)])
    assert {leaf.key for leaf in leaf_keys()} - {"alerts"} | {"alerts.horn"} == set(values)
    assert values["model.threads"] == {"value": 3, "origin": f"{file}:2:12"}
    assert values["log.level"] == {"value": "debug", "origin": "environment EMWATCH_LOG_LEVEL"}
    assert values["watch.directory"] == {"value": [str(sem)], "origin": "flag"}
    assert values["watch.mode"] == {"value": "auto", "origin": "default"}
    assert values["alerts.horn"]["value"]["argv"] == ["sh"]


def test_the_table_goes_to_stdout_and_the_verdict_to_stderr(emwatch: Run, sem: Path) -> None:
    ended = emwatch("config", "check", sem)

    assert ended.stdout.splitlines()[0].split() == ["Key", "Value", "From"]
    assert [line.split()[0] for line in ended.stdout.splitlines()[1:]][:1] == ["watch.directory"]
    assert ended.stderr.splitlines()[-1] == "the configuration is valid (no file, defaults only)"


def test_what_is_empty_is_shown_as_it_stands_in_a_file(emwatch: Run, sem: Path) -> None:
    lines = emwatch("config", "check", sem).stdout.splitlines()
    shown = {line.split()[0]: line.split(maxsplit=1)[1].rsplit(maxsplit=1)[0].strip() for line in lines}

    assert (shown["ledger.server"], shown["targets"], shown["watch.instrument"]) == ("null", "[]", "[]")
    assert 'timezone: "",' in shown["alerts.policy"]
    assert "quiet_hours: []" in shown["alerts.policy"]


def test_mistakes_end_with_78_and_are_told_also_in_json(emwatch: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("wach: {}\nlog: {level: loud}\n", encoding="utf-8")
    mistakes = [
        f"{file}:1:1: wach: unknown key; did you mean `watch`?",
        f"{file}:2:14: log.level: expected one of debug, info, warning, error; found 'loud'",
    ]

    plain, document = (emwatch("config", "check", "--config", file, *flags) for flags in ([], ["--json"]))

    assert (plain.returncode, document.returncode) == (78, 78)
    assert (plain.stdout, plain.stderr.splitlines()) == ("", [f"error: {mistakes[0]}", mistakes[1]])
    assert json.loads(document.stdout) == {"valid": False, "problems": mistakes, "values": {}, "warnings": []}


def test_the_configuration_of_the_user_is_read(emwatch: Run, tmp_path: Path) -> None:
    file = tmp_path / "user" / "emwatch" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("model: {threads: 7}", encoding="utf-8")

    document = json.loads(emwatch("config", "check", "--json", XDG_CONFIG_HOME=str(tmp_path / "user")).stdout)

    assert document["values"]["model.threads"] == {"value": 7, "origin": f"{file}:1:18"}


class TestDoubts:
    """What is valid but will not work here is a warning."""

    @pytest.mark.parametrize(
        ("target", "warned"),
        [
            ("{name: a}", "every frame of whose category the model is sure (min_probability 0.8) meets it"),
            ("{name: a, min_probability: 0}", "every frame meets it"),
            ("{name: a, alerts: [terminal], category: []}", "every frame of whose category"),
            ("{name: a, min_probability: 0.9}", ""),
            ("{name: a, category: Tips}", ""),
            ("{name: a, magnification: {min: 100}}", ""),
            ("{name: a, hours: '22:00-06:00'}", ""),
            ("{name: a, path: '*.tif'}", ""),
            ("{name: a, of_last: {frames: 5, at_least: 3}}", ""),
        ],
    )
    def test_a_target_without_any_condition(self, sem: Path, tmp_path: Path, target: str, warned: str) -> None:
        file = tmp_path / "lab.yaml"
        file.write_text(f"watch: {{directory: {sem}}}\ntargets: [{target}]\n", encoding="utf-8")
        warnings = [each for each in _warnings("--config", file) if "condition" in each]

        assert len(warnings) == bool(warned)
        assert all(warned in each for each in warnings)

    def test_none_where_all_is_well(self, sem: Path) -> None:
        assert _warnings(sem) == []

    def test_no_directory(self) -> None:
        assert _warnings() == ["watch.directory: not given; `emwatch run` needs it there, or as DIRECTORY"]

    def test_an_empty_list_of_what_is_looked_at(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "lab.yaml"
        file.write_text("watch: {include: []}", encoding="utf-8")

        assert _warnings(sem, "--config", file) == [
            'watch.include: is empty, so no file is looked at; leave it out, or write ["*"]'
        ]

    def test_a_directory_that_is_not_there(self, tmp_path: Path) -> None:
        assert _warnings(tmp_path / "none") == [
            f"watch.directory: {tmp_path / 'none'}: No such file or directory; it is waited for"
        ]

    def test_what_the_daemon_would_refuse_is_refused(
        self, sem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "alias").symlink_to(sem, target_is_directory=True)
        for ledger, says in (
            (sem / "l.sqlite3", "never writes to"),
            (tmp_path / "alias" / "l.sqlite3", "never writes to"),
            (tmp_path, "is a directory; name a file in it"),
        ):
            monkeypatch.setenv("EMWATCH_LEDGER_PATH", str(ledger))
            result = CliRunner().invoke(cli, ["config", "check", str(sem)])

            assert result.exit_code == 78
            assert says in result.stderr

    def test_backups_do_not_go_into_a_watched_directory(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        file.write_text(f"ledger: {{backup_directory: {sem / 'backups'}}}\n", encoding="utf-8")
        result = CliRunner().invoke(cli, ["config", "check", str(sem), "--config", str(file)])

        assert result.exit_code == 78
        assert "ledger.backup_directory: " in result.stderr
        assert "never writes to" in result.stderr

    def test_a_ledger_on_a_share_is_worth_a_warning(
        self, sem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EMWATCH_LEDGER_PATH", str(tmp_path / "l.sqlite3"))
        monkeypatch.setattr(filesystem, "file_system_type", lambda _folder: "cifs")

        assert [each for each in _warnings(sem) if each.startswith("ledger.path")] == [
            f"ledger.path: {tmp_path / 'l.sqlite3'} is on cifs: it works without a WAL there, but a local disk is safer"
        ]

    def test_a_file_in_place_of_the_directory_is_refused(self, sem: Path) -> None:
        (sem / "frame.tif").touch()
        for command in (("config", "check"), ("run", "--once", "--engine", "stub")):
            result = CliRunner().invoke(cli, list(command), env={"EMWATCH_WATCH_DIRECTORY": str(sem / "frame.tif")})

            assert result.exit_code == 78
            assert "frame.tif is a file; name the directory that frames come into" in result.stderr

    def test_a_path_that_the_system_refuses_is_a_warning_and_no_failure(self, tmp_path: Path) -> None:
        refused = tmp_path / ("x" * 300)
        result = CliRunner().invoke(
            cli,
            ["config", "check"],
            env={"EMWATCH_WATCH_DIRECTORY": str(refused), "EMWATCH_LEDGER_PATH": str(refused) + "y"},
        )

        assert result.exit_code == 0
        assert f"watch.directory: {refused}: File name too long; it is waited for" in result.stderr

    def test_overlapping_directories_are_refused(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        (sem / "day").mkdir()
        file.write_text(f"watch: {{directory: [{sem}, {sem / 'day'}]}}\n", encoding="utf-8")
        result = CliRunner().invoke(cli, ["config", "check", "--config", str(file)])

        assert (result.exit_code, "overlap" in result.stderr) == (78, True)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_ledger_that_may_not_be_written(self, sem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMWATCH_LEDGER_PATH", "/l.sqlite3")

        assert _warnings(sem) == ["ledger.path: /l.sqlite3: may not be written by this user"]

    def test_a_bundle_that_is_not_there(self, sem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMWATCH_MODEL_BUNDLE", str(tmp_path / "b"))

        assert _warnings(sem) == [f"model.bundle: {tmp_path / 'b'}: no model bundle there (no card.yaml)"]

    @pytest.mark.parametrize(
        ("patterns", "says"),
        [
            ("include: '*.tif, *.jpg'", """include: '*.tif, *.jpg' is one pattern, which hardly any file fits"""),
            ("include: '*.tif;*.jpg'", 'for several write a list: ["*.tif", "*.jpg"]'),
            ("exclude: ['*.tmp *.part']", "exclude: '*.tmp *.part' is one pattern"),
            ("include: '*.{tif,jpg}'", "braces stand for themselves"),
        ],
    )
    def test_several_patterns_in_one_text(self, sem: Path, tmp_path: Path, patterns: str, says: str) -> None:
        file = tmp_path / "c.yaml"
        file.write_text(f"watch:\n  {patterns}\n", encoding="utf-8")

        [warning] = _warnings(sem, "--config", file)

        assert warning.startswith("watch.")
        assert says in warning

    def test_patterns_with_blanks_and_commas_that_mean_one_name(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        file.write_text("watch: {include: ['wafer 7, left*.tif', 'w{7}.tif', 'My scans/*']}", encoding="utf-8")

        assert _warnings(sem, "--config", file) == []

    def test_a_page_for_other_machines_without_a_token(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        file.write_text("web: {serve: true, host: 0.0.0.0}", encoding="utf-8")

        [warning] = _warnings(sem, "--config", file)

        assert warning.startswith("the page will not be served: web.host: 0.0.0.0")

    def test_a_program_that_is_not_there(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        file.write_text("alerts: {a: {kind: command, argv: [./horn]}}", encoding="utf-8")

        assert _warnings(sem, "--config", file) == [
            f"alerts.a.argv: {tmp_path / 'horn'}: no such program, or not executable"
        ]

    def test_targets_that_no_frame_can_meet(self, sem: Path, tmp_path: Path) -> None:
        file = tmp_path / "c.yaml"
        file.write_text(
            f"ledger: {{path: {tmp_path}/l.sqlite3}}\n"
            "model: {engine: stub}\n"
            "targets:\n"
            "  - {name: rods, learned: gold rods}\n"
            f"  - {{name: elsewhere, path: [/other/*.tif, w7/*]}}\n"
            f"  - {{name: here, path: [{sem}/*/x.tif, {sem}/w7, /*]}}\n",
            encoding="utf-8",
        )

        assert _warnings(sem, "--config", file) == [
            "target 'elsewhere': path /other/*.tif: lies in no watched directory, so no frame meets it",
            (
                "target 'rods': no learned target is called 'gold rods' (there are: none yet), so no frame meets it: "
                "'emwatch target learn'"
            ),
        ]

    def test_a_variable_that_is_no_key(self, sem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMWATCH_LOG_LEVL", "info")

        assert _warnings(sem) == [
            "EMWATCH_LOG_LEVL: not a variable of emwatch, ignored; did you mean EMWATCH_LOG_LEVEL?"
        ]


def test_an_unknown_placeholder_of_an_alert_command_is_found_before_the_daemon_starts(
    emwatch: Run, tmp_path: Path, sem: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text('alerts: {horn: {kind: command, argv: [echo, "{pth}"]}}\n', encoding="utf-8")
    ended = emwatch("config", "check", sem, "--config", file)

    assert ended.returncode == 78
    assert "alerts.horn.argv: unknown placeholder {pth}" in ended.stderr
