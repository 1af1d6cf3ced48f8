"""
The folder of a training run: what was asked for, how far it is, the best weights, the curves.

Every file is written whole or not at all, so that a run that is killed at any moment goes on from its last state.
"""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from emwatch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

#: One list a column, a value for each epoch; read by whoever draws the curves.
HISTORY_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "phase")

#: Settings that do not change what comes out: an interrupted run goes on with others of these. The dataset is known by
#: its content, wherever it lies.
HOW_NOT_WHAT: Final = ("dataset", "out", "threads", "resume", "save_every")

_RUN, _MATERIAL, _STATE, _REPORT = "run.json", "material.sha256", "state.npz", "report.json"


@dataclass(slots=True)
class Progress:
    """How far a run is. ``batch``: batches of the present epoch that are done; the sums are over these."""

    epoch: int = 0  #: epochs that are done
    batch: int = 0
    loss_sum: float = 0.0
    right: float = 0.0
    seen: float = 0.0
    best_loss: float | None = None
    best_epoch: int = 0
    history: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in HISTORY_COLUMNS})


class Standing(NamedTuple):
    """Where a run stands; told after each batch, and with validation figures after each epoch."""

    phase: str
    epoch: int  #: the present one, from 1
    epochs: int
    batch: int  #: done in this epoch
    batches: int
    loss: float
    accuracy: float
    val_loss: float | None = None
    val_accuracy: float | None = None
    best_epoch: int = 0


class RunFolder:
    """A run's files. `begin` says whether there is something to go on with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.weights.h5"
        self.manifest = path / "split.tsv"
        self.history = path / "history.json"
        self.summary = path / "summary.txt"
        self.logs = path / "logs"
        self.base = path / "xception.weights.h5"
        self.report = path / _REPORT
        self.bundle = path / "bundle"

    def begin(self, settings: Mapping[str, Any], *, must_resume: bool) -> bool:
        """
        Make the folder, or find an unfinished run of the same settings in it: then give ``True``.

        Raises `ModelError` where it holds a finished run, one of other settings, or, with ``must_resume``, none.
        """
        run = self.path / _RUN
        if not run.is_file():
            if must_resume:
                raise ModelError(f"{self.path} holds no run to resume: expected {run.name} in it; go without --resume")
            if self.path.is_dir() and any(self.path.iterdir()):
                raise ModelError(f"{self.path} holds other files: name a new or empty folder with --out")
            self.path.mkdir(parents=True, exist_ok=True)
            _write_json(run, dict(settings))
            return False
        if self.report.is_file():
            raise ModelError(f"{self.path} holds a finished run: name another folder with --out, or remove it")
        try:
            found = json.loads(run.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{run} cannot be read: {error}. Name another folder with --out.") from error
        wanted = json.loads(json.dumps(dict(settings)))
        if other := [
            f"{name} {found.get(name)!r}, now {wanted.get(name)!r}"
            for name in sorted(set(found) | set(wanted))
            if found.get(name) != wanted.get(name)
        ]:
            raise ModelError(
                f"{self.path} holds an unfinished run of other settings: {'; '.join(other)}. Ask for the same to go on with "
                "it, or name another folder with --out."
            )
        return (self.path / _STATE).is_file()

    def same_material(self, fingerprint: str) -> None:
        """Note by what the run learns, or raise `ModelError` where that is not what it began with."""
        path = self.path / _MATERIAL
        if path.is_file() and path.read_text(encoding="ascii").strip() != fingerprint:
            raise ModelError(
                f"{self.path} holds an unfinished run on other frames, or on the same in other parts: the dataset has changed "
                "since. Name another folder with --out."
            )
        with _whole(path) as made:
            made.write_text(f"{fingerprint}\n", encoding="ascii")

    def keep(self, progress: Progress, arrays: list[npt.NDArray[Any]]) -> None:
        """Write how far the run is: ``arrays`` are everything that training changes."""
        with _whole(self.path / _STATE) as made:
            facts = np.frombuffer(json.dumps(asdict(progress)).encode(), dtype=np.uint8)
            with made.open("wb") as file:
                np.savez(file, facts, *arrays)
        self.keep_history(progress)

    def kept(self) -> tuple[Progress, list[npt.NDArray[Any]]]:
        """Read how far the run is. Raises `ModelError`."""
        path = self.path / _STATE
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                progress = Progress(**json.loads(file["arr_0"].tobytes()))
                return progress, [file[f"arr_{at}"] for at in range(1, len(file.files))]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} cannot be read: {error}. Remove {self.path} and begin again.") from error

    def keep_best(self, network: Any) -> None:
        """Write the network's weights as the best so far."""
        with _whole(self.best, suffix=".weights.h5") as made:
            _plain(network).save_weights(made)

    def load_best(self, network: Any) -> None:
        """Put the best weights back into the network."""
        _plain(network).load_weights(self.best)

    def keep_history(self, progress: Progress) -> None:
        """Write the curves."""
        _write_json(self.history, progress.history)

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write the report, which marks the run as finished, and drop what only an unfinished one needs."""
        _write_json(self.report, dict(report))
        (self.path / _STATE).unlink(missing_ok=True)


def _plain(network: Any) -> Any:
    """Give the network without its optimizer, which differs from phase to phase and is not worth keeping."""
    import keras  # noqa: PLC0415 - heavy; whoever has a network has it

    return keras.Model(network.inputs, network.outputs)


def _write_json(path: Path, document: Any) -> None:
    with _whole(path) as made:
        made.write_text(json.dumps(document, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")


@contextmanager
def _whole(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Give a name to write to, and put the file in its place once it is on the disk."""
    made = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        yield made
        with made.open("rb+") as file:
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
