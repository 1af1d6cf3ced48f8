"""``emwatch train`` before TensorFlow is needed: what is missing, what is refused, what progress looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from emwatch.cli.exits import Exit
from emwatch.cli.main import cli
from emwatch.cli.terminal.train_progress import TrainingProgress
from emwatch.train.network.run_folder import Standing

if TYPE_CHECKING:
    from pathlib import Path

_WITHOUT_TENSORFLOW = (
    "import sys\n"
    "sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
    "from emwatch.cli.main import main\n"
    "main(sys.argv[1:])\n"
)


@pytest.mark.parametrize("recipe", ["original", "finetune"])
def test_without_tensorflow_it_says_what_to_install_and_leaves_nothing(recipe: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW, "train", recipe, tmp_path, "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )

    assert ended.returncode == Exit.RUNTIME
    assert ended.stdout == ""
    assert ended.stderr.startswith("error: this needs TensorFlow and Keras")
    assert "pip install 'emwatch[train]'" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_more_warm_up_than_epochs_is_refused() -> None:
    result = CliRunner().invoke(cli, ["train", "original", "frames", "--epochs", "3"])

    assert result.exit_code == Exit.RUNTIME
    assert "5 warm-up epochs of 3 in all" in result.stderr


@pytest.mark.parametrize("block", ["0", "16"])
def test_a_block_that_is_none_is_a_usage_error(block: str) -> None:
    assert CliRunner().invoke(cli, ["train", "finetune", "frames", "--from-block", block]).exit_code == Exit.USAGE


class TestProgress:
    def _told(self, *standings: Standing, quiet: bool = False) -> str:
        @click.command()
        def told() -> None:
            click.get_current_context().meta["emwatch.verbosity"] = -1 if quiet else 0
            with TrainingProgress() as progress:
                progress.say("warning: few frames")
                progress.counting("reading frames", 1, 2)
                for standing in standings:
                    progress.standing(standing)

        return CliRunner().invoke(told).stderr

    def test_an_epoch_has_one_line_and_a_batch_none(self) -> None:
        batch = Standing("warm-up", 1, 20, 1, 4, loss=2.3, accuracy=0.1)
        epoch = batch._replace(batch=4, val_loss=2.2, val_accuracy=0.2, best_epoch=1)

        assert self._told(batch, epoch).splitlines() == [
            "warning: few frames",
            "warm-up, epoch 1 of 20: loss 2.300, accuracy 0.100; validation loss 2.200, accuracy 0.200, the best so far",
        ]

    def test_an_epoch_that_was_not_better_does_not_say_so(self) -> None:
        batch = Standing("warm-up", 1, 20, 1, 4, 2.3, 0.1)
        epoch = batch._replace(epoch=2, batch=4, val_loss=2.4, val_accuracy=0.2, best_epoch=1)

        assert "best" not in self._told(batch, epoch)

    def test_a_run_that_goes_on_says_where_and_one_that_begins_does_not(self) -> None:
        first = Standing("fine-tuning", 1, 6, 1, 4, 2.3, 0.1)

        assert "going on" not in self._told(first, first._replace(epoch=2))
        assert (
            "going on with an unfinished run in epoch 3 of 6, batch 2 of 4"
            in self._told(first._replace(epoch=3, batch=2)).splitlines()
        )

    def test_ctrl_c_says_how_to_go_on_once_there_is_something_to_go_on_with(self) -> None:
        @click.command()
        @click.option("--learning", is_flag=True)
        def told(learning: bool) -> None:
            with TrainingProgress() as progress:
                if learning:
                    progress.standing(Standing("warm-up", 1, 6, 1, 4, 2.3, 0.1))
                raise KeyboardInterrupt

        assert "the same command continues from there" in CliRunner().invoke(told, ["--learning"]).stderr
        assert "goes on" not in CliRunner().invoke(told).stderr

    def test_quiet_leaves_warnings_only(self) -> None:
        epoch = Standing("warm-up", 2, 20, 4, 4, 2.3, 0.1, val_loss=2.2, val_accuracy=0.2, best_epoch=1)

        assert self._told(epoch, quiet=True) == "warning: few frames\n"
