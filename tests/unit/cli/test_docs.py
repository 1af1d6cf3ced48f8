"""``emwatch docs`` and ``emwatch config example``: what comes with the program can be read without a network."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from emwatch.cli.main import cli
from emwatch.config import load

ROOT = Path(__file__).resolve().parents[3]


def test_the_pages_are_listed_with_their_titles() -> None:
    listed = CliRunner().invoke(cli, ["docs"])

    assert listed.exit_code == 0
    for page in (ROOT / "docs").glob("*.md"):
        title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        assert re.search(rf"^{page.stem}\s+{re.escape(title)}$", listed.stdout, re.MULTILINE), page.stem


def test_a_page_is_printed_as_it_is() -> None:
    for name in ("service", "service.md"):
        printed = CliRunner().invoke(cli, ["docs", name])

        assert printed.stdout == (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def test_a_page_that_does_not_exist_names_those_that_do() -> None:
    failed = CliRunner().invoke(cli, ["docs", "../pyproject"])

    assert failed.exit_code == 2
    assert "../pyproject" in failed.stderr
    assert "operations" in failed.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("less", "given", "coloured"), [(None, "-R", True), ("-i", "-i", False), ("-iR", "-iR", True)])
def test_a_page_on_a_terminal_has_no_colour_that_its_pager_shows_as_signs(
    tmp_path: Path, less: str | None, given: str, coloured: bool
) -> None:
    import pty

    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\nprintf %s "$LESS" > {tmp_path}/less\ncat > {tmp_path}/page\n', encoding="utf-8")
    pager.chmod(0o755)
    environ = {name: value for name, value in os.environ.items() if name not in {"LESS", "MANPAGER", "NO_COLOR"}}
    environ |= {"PAGER": str(pager), "TERM": "xterm-256color"} | ({} if less is None else {"LESS": less})
    master, slave = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "emwatch", "docs", "tutorial"], stdin=slave, stdout=slave, env=environ, check=True
    )
    os.close(slave)
    os.close(master)

    assert (tmp_path / "less").read_text(encoding="utf-8") == given
    assert ("\x1b" in (tmp_path / "page").read_text(encoding="utf-8")) is coloured


def test_every_extra_that_a_message_or_a_page_names_is_there_and_explained() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    explained = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    texts = [*(ROOT / "emwatch").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    named = {name for each in texts for name in re.findall(r"emwatch\[(\w+)\]", each.read_text(encoding="utf-8"))}

    assert {"web", "notebook", "parquet"} <= named <= extras.keys()
    assert [name for name in sorted(named) if not re.search(rf"^\|.*`{name}`.*\|.*\|$", explained, re.MULTILINE)] == []


def test_where_the_documentation_is() -> None:
    assert Path(CliRunner().invoke(cli, ["docs", "--path"]).stdout.strip()) == ROOT / "docs"


def test_the_example_configuration_is_printed_and_can_be_used(tmp_path: Path) -> None:
    written = tmp_path / "lab.yaml"
    written.write_text(CliRunner().invoke(cli, ["config", "example"]).stdout, encoding="utf-8")

    assert written.read_text(encoding="utf-8") == (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    assert load(written).files == (written,)


def test_the_documented_time_comparison_is_right_around_the_hour() -> None:
    """Text times compare right only in the ledger's own form: the documented expression has it."""
    page = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    now = datetime.now(UTC)
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE v_log (recorded_at TEXT, path TEXT, category TEXT)")
        for minutes in (1, 119, 121, 60 * 23):
            stamp = (now - timedelta(minutes=minutes)).isoformat(timespec="microseconds")
            database.execute("INSERT INTO v_log VALUES (?, ?, NULL)", (stamp, str(minutes)))
        query = re.search(r"-- the last two hours.*?\n(SELECT.*?;)", page, re.DOTALL)
        assert query is not None
        found = [path for _, path, _ in database.execute(query[1])]

    assert found == ["1", "119"]


def test_the_reference_pages_are_those_of_the_program() -> None:
    check = [sys.executable, ROOT / ".ci" / "write_reference.py", "--check"]
    said = subprocess.run(
        check, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": f"{ROOT}"}
    )

    assert (said.returncode, said.stderr) == (0, "")
