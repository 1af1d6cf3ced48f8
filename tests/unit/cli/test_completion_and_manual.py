"""What a shell and man(1) are given: both are made from the commands themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from emwatch.cli.main import COMMANDS, cli
from emwatch.cli.manual import manual

if TYPE_CHECKING:
    from pathlib import Path


def test_the_manual_page_has_every_command_and_sets_without_a_warning(tmp_path: Path) -> None:
    page = CliRunner().invoke(cli, ["docs", "--man"]).stdout
    (tmp_path / "emwatch.1").write_text(page, "utf-8")

    for name in COMMANDS:
        written = re.escape(name.replace("-", "\\-"))  # a hyphen that can be copied
        assert re.search(rf"^\.SS emwatch {written}\b", page, re.MULTILINE), name
    if shutil.which("groff") is None:
        pytest.skip("needs groff")
    command = ["groff", "-man", "-Tutf8", "-ww", tmp_path / "emwatch.1"]
    laid_out = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C.UTF-8"}
    )
    assert laid_out.stderr == ""
    assert "Check that the ledger is intact and consistent." in " ".join(laid_out.stdout.split())


def test_text_that_roff_would_take_for_its_own_is_shown() -> None:
    @click.group(help="First.\n\n.so /etc/passwd\n\n'quoted' C:\\new -v")
    def program() -> None:
        pass

    lines = manual(program, "program").splitlines()

    assert "\\&.so /etc/passwd" in lines
    assert "\\&\\(aqquoted\\(aq C:\\enew \\-v" in lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid_where_the_shell_is_there(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell])

    assert script.exit_code == 0
    assert "_EMWATCH_COMPLETE" in script.stdout
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    subprocess.run([shell, "-n"], input=script.stdout, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    program = tmp_path / "emwatch"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m emwatch "$@"\n', "utf-8")
    program.chmod(0o755)
    script = CliRunner().invoke(cli, ["completion", "bash"]).stdout
    asked = f"""{script}
complete() {{ :; }}
for words in 'db ver' 'log --hi'; do
    COMP_WORDS=(emwatch $words) COMP_CWORD=2 COMPREPLY=()
    _emwatch_completion emwatch; echo "${{COMPREPLY[@]}}"
done
"""
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    answered = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, env=environ)

    assert answered.stdout.splitlines() == ["verify", "--hits"]
