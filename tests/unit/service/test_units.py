"""Units of systemd: what is shipped, what `emwatch service` makes of it, and what systemd's own tools say of both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.config import load
from emwatch.errors import EmwatchError
from emwatch.service.units import (
    MARK,
    Remove,
    Unit,
    Write,
    closed_to_others,
    for_instances,
    program,
    to_install,
    to_uninstall,
    written_elsewhere,
)

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "systemd").glob("*.service"))

needs_systemd = pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemd's tools")


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def emwatch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "emwatch", *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_unit_for_several_instruments_is_the_unit_for_one() -> None:
    one, several = ((ROOT / "systemd" / name).read_text("utf-8") for name in ("emwatch.service", "emwatch@.service"))

    assert lines(several) == lines(for_instances(one))
    assert "emwatch/%i" in several
    assert "/etc/emwatch/%i.yaml" in several


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's tools")
@pytest.mark.parametrize("unit", SHIPPED, ids=lambda unit: unit.name)
def test_a_shipped_unit_is_verified_and_its_exposure_is_at_most_2(unit: Path) -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / ".ci" / "check_unit.py", unit], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd's tools")
@pytest.mark.parametrize("page", [False, True])
def test_a_users_unit_is_verified_and_asks_for_no_privilege(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path))
    unit = Unit("user", page)
    unit.file.parent.mkdir(parents=True)
    unit.file.write_text(unit.text(), "utf-8")
    command = ["systemd-analyze", "--user", "verify", "--man=no", unit.file]
    environ = os.environ | {"XDG_RUNTIME_DIR": os.fspath(tmp_path)}
    verified = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    assert (verified.returncode, verified.stderr) == (0, "")
    assert not {"User", "StateDirectory", "ProtectSystem", "CapabilityBoundingSet"} & {
        line.split("=")[0] for line in lines(unit.text())
    }
    assert "WantedBy=default.target" in unit.text()
    assert not [each for each in ("/var/lib/emwatch", "share must be mounted", "#ReadOnlyPaths") if each in unit.text()]
    assert f"--config {tmp_path}/emwatch/config.yaml" in unit.text()


def test_program_and_paths_are_those_of_this_installation(tmp_path: Path) -> None:
    unit = Unit(config=tmp_path / "my lab 50%.yaml")

    assert "/opt/emwatch" not in unit.text()
    assert f"ExecStart={program()} run --config " in unit.text()
    assert 'my lab 50%%.yaml"' in unit.text()


@needs_systemd
def test_into_an_image_it_is_installed_enabled_and_removed_by_the_real_systemctl(tmp_path: Path) -> None:
    installed = emwatch("service", "install", "--root", tmp_path, "--instance", "fib")
    again = emwatch("service", "install", "--root", tmp_path, "--instance", "zeiss")
    units = tmp_path / "etc/systemd/system"
    enabled = sorted(each.name for each in (units / "multi-user.target.wants").iterdir())
    asked = emwatch("service", "status", "--root", tmp_path, "--instance", "fib")

    assert (installed.returncode, again.returncode) == (0, 0), installed.stderr + again.stderr
    assert (units / "emwatch@.service").read_text("utf-8").startswith(MARK)
    assert enabled == ["emwatch@fib.service", "emwatch@zeiss.service"]
    assert "unknown, enabled" in asked.stdout

    assert emwatch("service", "uninstall", "--root", tmp_path, "--instance", "fib").returncode == 0
    assert (units / "emwatch@.service").exists()  # the other instrument needs it
    assert emwatch("service", "uninstall", "--root", tmp_path, "--instance", "zeiss").returncode == 0
    assert not (units / "emwatch@.service").exists()


def test_a_dry_run_prints_every_step_and_takes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path))
    monkeypatch.setenv("HOME", os.fspath(tmp_path))

    printed = CliRunner().invoke(cli, ["service", "install", "--user", "--dry-run"])

    assert printed.exit_code == 0, printed.stderr
    assert f"write {tmp_path}/systemd/user/emwatch.service:" in printed.stdout
    assert "    Type=notify" in printed.stdout
    assert [line for line in printed.stdout.splitlines() if line.startswith("run ")] == [
        "run systemctl --user daemon-reload",
        "run systemctl --user enable emwatch.service",
        "run systemctl --user restart emwatch.service",
    ]
    assert "the configuration has to be mended first" in printed.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_unit_that_somebody_else_wrote_is_replaced_only_by_force(tmp_path: Path) -> None:
    unit = Unit(root=tmp_path)
    unit.file.parent.mkdir(parents=True)
    unit.file.write_text("[Service]\nExecStart=/opt/mine\n", "utf-8")

    with pytest.raises(EmwatchError, match="--force"):
        list(to_install(unit))
    assert list(to_install(unit, force=True))
    assert [step for step in to_uninstall(unit) if isinstance(step, Remove)]


def test_without_a_valid_configuration_nothing_is_installed(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"

    missing = emwatch("service", "install", "--config", file)
    file.write_text("wach: {directory: /sem}\n")
    mistaken = emwatch("service", "install", "--config", file)

    assert (missing.returncode, mistaken.returncode) == (78, 78)
    assert missing.stderr.endswith(f"there is no configuration yet; write it first: emwatch init --out {file}\n")
    assert "did you mean `watch`?" in mistaken.stderr
    assert "emwatch init" not in mistaken.stderr  # it is there, and init would refuse


def test_an_instance_does_not_take_the_unit_file_of_the_others_to_another_configuration(tmp_path: Path) -> None:
    with pytest.raises(EmwatchError, match=r"lab\.yaml: instances share .* call this one fib\.yaml"):
        Unit(instance="fib", config=tmp_path / "lab.yaml")

    here, there = (
        Unit(instance=name, root=tmp_path, config=tmp_path / name / f"{name}.yaml") for name in ("fib", "sem")
    )
    here.file.parent.mkdir(parents=True)
    here.file.write_text(here.text(), "utf-8")
    assert list(to_install(there)), "no other instance needs the file"
    wanted = here.file.parent / "multi-user.target.wants" / here.name
    wanted.parent.mkdir()
    wanted.touch()
    with pytest.raises(
        EmwatchError, match=r"other instances with --config .*/fib/%i\.yaml: put sem\.yaml into the same"
    ):
        list(to_install(there))
    assert list(to_install(there, force=True))
    assert list(to_install(here))


@pytest.mark.parametrize("name", ["../x", "a b", "x/y", "a" * 65])
def test_a_name_that_cannot_be_an_instance_is_refused(name: str) -> None:
    with pytest.raises(EmwatchError, match="cannot name a service"):
        Unit(instance=name)


def test_a_program_that_the_services_user_cannot_reach_is_noticed_also_behind_a_link(tmp_path: Path) -> None:
    shown, closed = tmp_path / "shown", tmp_path / "closed"
    for folder in (shown, closed):
        folder.mkdir()
    (closed / "python").write_bytes(b"")
    (shown / "python").symlink_to(closed / "python")
    for folder in (shown, *list(shown.parents)[:4]):
        folder.chmod(folder.stat().st_mode | 0o055)
    closed.chmod(0o700)

    found = closed_to_others(shown / "python")
    closed.chmod(0o755)

    assert found == closed
    assert closed_to_others(shown / "python") is None


@needs_systemd
def test_the_unit_of_a_package_is_used_where_it_does_the_same(tmp_path: Path) -> None:
    image = ("--root", tmp_path)
    packaged = tmp_path / "usr/lib/systemd/system/emwatch.service"
    packaged.parent.mkdir(parents=True)
    other = "[Service]\nExecStart=/opt/emwatch/bin/emwatch run\n[Install]\nWantedBy=multi-user.target\n"
    packaged.write_text(other, "utf-8")
    emwatch("service", "install", *image)
    own = Unit(root=tmp_path).file
    assert own.is_file()

    packaged.write_text(own.read_text("utf-8").removeprefix(f"{MARK}\n"), "utf-8")
    emwatch("service", "install", *image)

    assert not own.exists()
    assert (own.parent / "multi-user.target.wants/emwatch.service").is_symlink()
    assert emwatch("service", "status", *image).stdout.splitlines()[1] == f"{packaged}: there"


_WRITES = """watch: {directory: /srv/sem}
ledger: {path: "/data/em watch/ledger.sqlite3", backup_directory: /export/100%/backups}
alerts:
  hits: {kind: folder, folder: /srv/hits}
  home: {kind: folder, folder: ~/hits}
  kept: {kind: folder, folder: /var/lib/emwatch/fib/hits}
"""


def _with_places(tmp_path: Path, text: str, instance: str = "") -> Unit:
    file = tmp_path / f"{instance or 'lab'}.yaml"
    file.write_text(text, "utf-8")
    return Unit(instance=instance, config=file, root=tmp_path, written=written_elsewhere(load(file), instance))


@pytest.mark.parametrize("instance", ["", "fib"])
def test_what_the_configuration_has_it_write_is_writable_for_the_service(tmp_path: Path, instance: str) -> None:
    """All else is read-only for it: a backup on another disk, as the documentation advises, failed each day."""
    unit = _with_places(tmp_path, _WRITES, instance)
    for step in to_install(unit):
        if isinstance(step, Write):
            step.path.parent.mkdir(parents=True, exist_ok=True)
            step.path.write_text(step.text, "utf-8")

    assert unit.drop_in.parent.name == f"{unit.name}.d"
    assert lines(unit.drop_in.read_text("utf-8")) == [
        "[Service]",
        'ReadWritePaths="-/data/em watch"',
        "ReadWritePaths=-/export/100%%/backups",
        "ReadWritePaths=-/srv/hits",
    ]
    if shutil.which("systemd-analyze") is not None:
        whole = unit.file.read_text("utf-8") + unit.drop_in.read_text("utf-8")
        (tmp_path / "whole.service").write_text(whole.replace("%i", "fib"), "utf-8")
        command = ["systemd-analyze", "verify", "--man=no", tmp_path / "whole.service"]
        verified = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "ReadWritePaths" not in verified.stderr

    plain = _with_places(tmp_path, "watch: {directory: /srv/sem}\n", instance)
    assert Remove(plain.drop_in) in list(to_install(plain))
    assert Remove(plain.drop_in) in list(to_uninstall(plain))


def test_what_somebody_else_wrote_beside_a_unit_stays(tmp_path: Path) -> None:
    unit = _with_places(tmp_path, "watch: {directory: /srv/sem}\n")
    unit.drop_in.parent.mkdir(parents=True)
    unit.drop_in.write_text("[Service]\nNice=5\n", "utf-8")

    assert not [step for step in (*to_install(unit), *to_uninstall(unit)) if step == Remove(unit.drop_in)]


def test_a_dry_run_shows_what_may_be_written_and_names_what_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(_WRITES, "utf-8")

    printed = CliRunner().invoke(cli, ["service", "install", "--system", "--dry-run", "--config", os.fspath(file)])

    assert printed.exit_code == 0, printed.stderr
    assert "    ReadWritePaths=-/srv/hits" in printed.stdout
    assert "install -d -o emwatch -g emwatch '/data/em watch'" in printed.stderr
