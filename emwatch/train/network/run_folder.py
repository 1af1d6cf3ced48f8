"""
The folder of a training run: what was asked for, how far it is, the best weights, the curves.

Every file is written whole or not at all, so that a run that is killed at any moment goes on from its last state.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

import numpy as np

from emwatch.errors import ModelError
from emwatch.whole_file import written_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.train.dataset.split import By

#: Minutes of work between two states on the disk, 100 MB each.
BATCHES_BETWEEN_STATES: Final = 200

#: One list a column, a value for each epoch; read by whoever draws the curves.
HISTORY_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "phase")

#: Settings that do not change what comes out: an interrupted run goes on with others of these. The dataset is known by
#: its content, wherever it lies.
_HOW_NOT_WHAT: Final = ("dataset", "out", "threads", "resume", "save_every")


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What every way of training a network is asked: on what, with what, and how it is written down."""

    recipe: ClassVar[str]

    dataset: Path
    out: Path
    batch: int = 16
    by: By = "source"
    seed: int = 0
    weights: Path | Literal["none"] | None = None
    threads: int = 2
    resume: bool = False
    save_every: int = BATCHES_BETWEEN_STATES

    def settings(self) -> dict[str, Any]:
        """Return the settings that decide the result: a run continues only with the same ones."""
        kept = {name: value for name, value in asdict(self).items() if name not in _HOW_NOT_WHAT}
        return {"recipe": self.recipe, **kept, "weights": str(self.weights)}


@dataclass(slots=True)
class RunProgress:
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
    """A run's files: `check` before anything is done, `start` when all that it takes is there, `finish` at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "best.weights.h5"
        self._run = path / "run.json"
        self._state = path / "state.npz"
        self.manifest = path / "split.tsv"
        self.history = path / "history.json"
        self.summary = path / "summary.txt"
        self.logs = path / "logs"
        self.base = path / "xception.weights.h5"
        self.report = path / "report.json"
        self.bundle = path / "bundle"

    def check(self, settings: Mapping[str, Any], *, must_resume: bool) -> bool:
        """
        Return whether an unfinished run with the same settings exists; nothing is written.

        Raises `ModelError` if the folder holds a finished run, one of other settings, other files, or, with
        ``must_resume``, no run.
        """
        if self.report.is_file():
            raise ModelError(f"{self.path} holds a finished run: name another folder with --out, or remove it")
        if not self._run.is_file():
            if must_resume:
                raise ModelError(
                    f"{self.path} holds no run to resume: expected {self._run.name} in it; go without --resume"
                )
            if self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
                raise ModelError(f"{self.path} holds other files: name a new or empty folder with --out")
            return False
        if not self._state.is_file():
            return False  # it was stopped before there was anything to go on with
        begun = self._begun()["settings"]
        wanted = json.loads(json.dumps(dict(settings)))
        if other := [
            f"{name} {begun.get(name)!r}, now {wanted.get(name)!r}"
            for name in sorted(set(begun) | set(wanted))
            if begun.get(name) != wanted.get(name)
        ]:
            raise ModelError(
                f"{self.path} holds an unfinished run of other settings: {'; '.join(other)}. Ask for the same to go on with "
                "it, or name another folder with --out."
            )
        return True

    def start(self, settings: Mapping[str, Any], material: str, *, resume: bool) -> None:
        """
        Note what is asked for and by what it learns; of a run that goes on, see that this is what it began with.

        ``material``: the fingerprint of the frames. Raises `ModelError`.
        """
        if not resume:
            self.path.mkdir(parents=True, exist_ok=True)
            _write_json(self._run, {"settings": dict(settings), "material_sha256": material})
        elif self._begun()["material_sha256"] != material:
            raise ModelError(
                f"{self.path} holds an unfinished run on other frames, or on the same in other parts: the dataset has changed "
                "since. Name another folder with --out."
            )

    def _begun(self) -> dict[str, Any]:
        try:
            found = json.loads(self._run.read_text(encoding="utf-8"))
            return {"settings": dict(found["settings"]), "material_sha256": str(found["material_sha256"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self._run} cannot be read: {error}. Name another folder with --out.") from error

    def keep(self, progress: RunProgress, arrays: list[npt.NDArray[Any]]) -> None:
        """Write how far the run is: ``arrays`` are everything that training changes."""
        with written_whole(self._state) as made:
            facts = np.frombuffer(json.dumps(asdict(progress)).encode(), dtype=np.uint8)
            with made.open("wb") as file:
                np.savez(file, facts, *arrays)
        self.keep_history(progress)

    def kept(self) -> tuple[RunProgress, list[npt.NDArray[Any]]]:
        """Read how far the run is. Raises `ModelError`."""
        try:
            with self._state.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                progress = RunProgress(**json.loads(file["arr_0"].tobytes()))
                return progress, [file[f"arr_{at}"] for at in range(1, len(file.files))]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(f"{self._state} cannot be read: {error}. Remove {self.path} and begin again.") from error

    def keep_best(self, network: Any) -> None:
        """Write the network's weights as the best so far."""
        with written_whole(self.best, suffix=".weights.h5") as made:
            _plain(network).save_weights(made)

    def load_best(self, network: Any) -> None:
        """Put the best weights back into the network."""
        _plain(network).load_weights(self.best)

    def keep_history(self, progress: RunProgress) -> None:
        """Write the curves."""
        _write_json(self.history, progress.history)

    def finish(self, report: Mapping[str, Any]) -> None:
        """Write the report, which marks the run as finished, and drop what only an unfinished one needs."""
        _write_json(self.report, dict(report))
        self._state.unlink(missing_ok=True)


def _plain(network: Any) -> Any:
    """Return the network without its optimizer, which differs from phase to phase and is not worth keeping."""
    import keras

    return keras.Model(network.inputs, network.outputs)


def _write_json(path: Path, document: Any) -> None:
    with written_whole(path) as made:
        made.write_text(json.dumps(document, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")
