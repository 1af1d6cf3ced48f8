"""``emwatch demo``: a simulated microscope and the real daemon with the real model, in under a minute."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from emwatch.cli.options import logging_options
from emwatch.cli.parameter_types import Number

if TYPE_CHECKING:
    from collections.abc import Callable

_CONFIG: Final = """\
watch:
  directory: frames
ledger:
  path: ledger.sqlite3
targets:
  - name: wires
    category: [Nanowires, Fibres]
    min_probability: 0.6
  - name: gratings at high magnification
    category: Patterned_surface
    min_probability: 0.6
    magnification: {min: 1000}
"""
_LONGEST_S: Final = 45.0
_LINGER_S: Final = 1.5


@click.command(short_help="Show emwatch at work with a simulated microscope.")
@click.option("--frames", type=click.IntRange(1, 200), default=24, show_default=True, help="How many frames to draw.")
@click.option("--rate", type=Number(0.1, 20), default=1.5, show_default=True, help="Frames per second.")
@click.option("--seed", type=int, default=2026, show_default=True, help="A different seed draws different frames.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep frames, configuration and ledger in this new folder."
)
@logging_options
def demo(frames: int, rate: float, seed: int, keep: Path | None) -> None:
    """
    Watch a simulated microscope for half a minute, then show the log and the hits.

    Frames are written into a temporary directory in the formats of the common vendors, one after the other; Hitachi's
    have a text file beside each, some frames have no metadata. All else is real: the daemon, the decoder, the network,
    the ledger, the alerts. Nothing outside the directory is changed.
    """
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=False)
        _show(keep, frames, rate, seed)
        click.echo(f"\nkept in {keep}: try  emwatch log --config {keep / 'config.yaml'}")
        return
    folder = Path(tempfile.mkdtemp(prefix="emwatch-demo-"))
    try:
        _show(folder, frames, rate, seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(folder: Path, frames: int, rate: float, seed: int) -> None:
    config_file, watched = folder / "config.yaml", folder / "frames"
    watched.mkdir()
    config_file.write_text(_CONFIG, encoding="utf-8")
    from emwatch.cli.terminal.foreground import run_in_foreground
    from emwatch.config import load_alone

    # What is configured on this PC is for its own frames: its ledger and its channels must not hear of pretended ones.
    config = load_alone(config_file).config
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMWATCH_")}

    click.echo(
        "A simulated microscope writes frames; emwatch watches. Targets: wires, gratings at high magnification.\n"
    )
    microscope = subprocess.Popen(
        [
            *(sys.executable, "-m", "emwatch", "simulate", "--quiet", "--out", str(watched), "--vendor", "mixed"),
            *("--frames", str(frames), "--rate", str(rate), "--mode", "tmp-rename", "--seed", str(seed)),
            *("--manifest", str(folder / "truth.ndjson")),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the daemon, which then ends in order; the microscope is ended below
    )
    try:
        run_in_foreground(config, once=False, plain=False, until=_until_written(microscope))
    finally:
        microscope.kill()
        microscope.wait()
    for arguments in (["log", "--oldest-first"], ["log", "--hits"]):
        click.echo(f"\n$ emwatch {' '.join(arguments)}")
        sys.stdout.flush()
        line = [sys.executable, "-m", "emwatch", *arguments, "--config", str(config_file)]
        subprocess.run(line, env=environment, check=False)


def _until_written(microscope: subprocess.Popen[bytes]) -> Callable[[], bool]:
    """Return a function that is true shortly after the last frame was written, or after the time limit."""
    began = time.monotonic()
    finished: list[float] = []

    def done() -> bool:
        now = time.monotonic()
        if not finished and microscope.poll() is not None:
            finished.append(now)
        return now - began > _LONGEST_S or bool(finished and now - finished[0] > _LINGER_S)

    return done
