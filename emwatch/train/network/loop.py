"""
The training loop: phases of epochs, the best weights by validation loss, curves for TensorBoard, and going on after a stop.

Written out, not Keras' `fit`: its backup forgets which validation loss was the best and begins an epoch anew, and a
first epoch on a facility's computer may take an hour.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emwatch.errors import ModelError
from emwatch.train.network.batches import Batches, scores_of
from emwatch.train.network.run_folder import BATCHES_BETWEEN_STATES, RunFolder, RunProgress, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from emwatch.train.network.views import TrainingFrames


@dataclass(frozen=True, slots=True)
class Phase:
    """
    Epochs that are trained alike.

    ``compile`` makes the network ready: which layers learn, optimizer, loss. ``learning_rate`` gives that of a batch from
    the phase's batches done and its batches in all.
    """

    name: str
    epochs: int
    compile: Callable[[Any], None]
    learning_rate: Callable[[int, int], float]


@dataclass(frozen=True, slots=True)
class Course:
    """What is run: phases over training batches, steered by validation frames."""

    phases: Sequence[Phase]
    batches: Batches
    validation: TrainingFrames
    patience: int | None = None  #: in the last phase, epochs without a better validation loss before it ends
    between_states: int = BATCHES_BETWEEN_STATES  #: batches within an epoch after which the state is written
    from_start: bool = False  #: the network as it begins is judged, too, as epoch 0
    balanced: bool = False  #: validation loss as the mean of the categories' means

    @property
    def epochs(self) -> int:
        """Return the epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)


def constant(rate: float) -> Callable[[int, int], float]:
    """Return a constant learning rate."""
    return lambda done, of: rate  # noqa: ARG005 - as every learning rate is asked


def train(
    network: Any, course: Course, folder: RunFolder, tell: Callable[[Standing], None], *, resume: bool
) -> RunProgress:
    """
    Train, leaving the best weights in ``folder`` and in ``network``.

    With ``resume`` from the state in the folder. Ctrl-C and SIGTERM write the state after the batch in work and raise
    `KeyboardInterrupt`. Raises `ModelError` if the loss is no number any more.
    """
    progress, arrays = folder.kept() if resume else (RunProgress(), [])
    first_epoch = 0
    with _curves(folder) as curve, _stop_asked() as stop_asked:
        for phase in course.phases:
            last = first_epoch + phase.epochs
            if progress.epoch < last:
                phase.compile(network)
                network.optimizer.build(network.trainable_variables)
                if arrays:
                    goes_on = progress.epoch > first_epoch or progress.batch > 0
                    _restore(_changing(network, with_optimizer=goes_on), arrays, folder)
                    arrays = []
            run = _Run(network, course, phase, first_epoch, progress, folder, tell, stop_asked)
            if course.from_start and progress.best_loss is None:
                run.judge_start()
            while progress.epoch < last and not run.in_vain():
                run.epoch()
                run.judge()
                curve(progress)
                run.keep()
            first_epoch = last
    folder.load_best(network)
    return progress


@dataclass(frozen=True, slots=True)
class _Run:
    """A phase of a run, on its way."""

    network: Any
    course: Course
    phase: Phase
    first_epoch: int  #: of this phase, from 0
    progress: RunProgress
    folder: RunFolder
    tell: Callable[[Standing], None]
    stop_asked: Callable[[], bool]

    def in_vain(self) -> bool:
        """Return whether the last phase has gone on for too long without a better validation loss."""
        in_last = self.first_epoch == self.course.epochs - self.phase.epochs
        since = self.progress.epoch - max(self.progress.best_epoch, self.first_epoch)
        return in_last and self.course.patience is not None and since >= self.course.patience

    def epoch(self) -> None:
        """Train what is left of an epoch."""
        progress, batches = self.progress, self.course.batches.count
        for views, categories, weights in self.course.batches.of_epoch(progress.epoch, progress.batch):
            done = (progress.epoch - self.first_epoch) * batches + progress.batch
            self.network.optimizer.learning_rate = self.phase.learning_rate(done, self.phase.epochs * batches)
            figures = self.network.train_on_batch(views, categories, sample_weight=weights, return_dict=True)
            count = int(categories.shape[0])
            progress.batch += 1
            progress.seen += count
            progress.loss_sum += float(figures["loss"]) * count
            progress.right += float(figures["accuracy"]) * count
            if not np.isfinite(progress.loss_sum):
                raise ModelError(
                    f"the loss is no number after batch {progress.batch} of epoch {progress.epoch + 1}: the learning rate is "
                    "too high for these frames"
                )
            self.tell(self._standing())
            if progress.batch < batches and (self.stop_asked() or progress.batch % self.course.between_states == 0):
                self.keep()

    def judge_start(self) -> None:
        """Take the network as it begins for the best so far."""
        val_loss, val_accuracy = self._validation()
        self._if_best(val_loss)
        standing = self._standing()._replace(phase="before training", epoch=0, val_loss=val_loss)
        self.tell(standing._replace(val_accuracy=val_accuracy))
        self.keep()

    def judge(self) -> None:
        """End an epoch: validation, the history's next row, the best weights."""
        progress, standing = self.progress, self._standing()
        val_loss, val_accuracy = self._validation()
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "loss": round(standing.loss, 6),
            "accuracy": round(standing.accuracy, 6),
            "val_loss": round(val_loss, 6),
            "val_accuracy": round(val_accuracy, 6),
            "learning_rate": float(f"{float(self.network.optimizer.learning_rate.numpy()):.6g}"),
            "phase": self.phase.name,
        }
        for name, value in row.items():
            progress.history[name].append(value)
        self._if_best(val_loss)
        progress.batch, progress.loss_sum, progress.right, progress.seen = 0, 0.0, 0.0, 0.0
        self.tell(standing._replace(val_loss=val_loss, val_accuracy=val_accuracy, best_epoch=progress.best_epoch))

    def _validation(self) -> tuple[float, float]:
        validation = self.course.validation
        scores = scores_of(self.network, validation.first)
        loss = cross_entropy(scores, validation.categories, balanced=self.course.balanced)
        return loss, float((scores.argmax(axis=1) == validation.categories).mean())

    def _if_best(self, val_loss: float) -> None:
        if self.progress.best_loss is None or val_loss < self.progress.best_loss:
            self.progress.best_loss, self.progress.best_epoch = val_loss, self.progress.epoch
            self.folder.keep_best(self.network)

    def keep(self) -> None:
        """Write the state; end here if a stop was requested."""
        arrays = [variable.numpy() for variable in _changing(self.network)]
        self.folder.keep(self.progress, arrays)
        if self.stop_asked():
            raise KeyboardInterrupt

    def _standing(self) -> Standing:
        seen = max(self.progress.seen, 1.0)
        return Standing(
            phase=self.phase.name,
            epoch=self.progress.epoch + 1,
            epochs=self.course.epochs,
            batch=self.progress.batch,
            batches=self.course.batches.count,
            loss=self.progress.loss_sum / seen,
            accuracy=self.progress.right / seen,
            best_epoch=self.progress.best_epoch,
        )


def cross_entropy(
    scores: npt.NDArray[np.floating[Any]], categories: npt.NDArray[np.int64], *, balanced: bool = False
) -> float:
    """Return the mean negative log-likelihood of scores (n, 10); ``balanced``: the mean of the categories' means."""
    chosen = scores[np.arange(len(categories)), categories].astype(np.float64)
    losses = -np.log(np.maximum(chosen, 1e-7))
    if not balanced:
        return float(losses.mean())
    return float(np.mean([losses[categories == index].mean() for index in np.unique(categories)]))


def _changing(network: Any, *, with_optimizer: bool = True) -> list[Any]:
    """List the variables that training changes: weights, statistics, the seeds of dropout, the optimizer's memory."""
    metrics = {id(variable) for variable in network.metrics_variables}  # made when first used, and counted here anyway
    own = [variable for variable in network.variables if id(variable) not in metrics]
    return [*own, *network.optimizer.variables] if with_optimizer else own


def _restore(variables: list[Any], arrays: list[npt.NDArray[Any]], folder: RunFolder) -> None:
    """Set variables to what was kept; at the start of a phase its optimizer has no state yet and is left out."""
    kept = arrays[: len(variables)]
    if [tuple(variable.shape) for variable in variables] != [array.shape for array in kept]:
        raise ModelError(
            f"{folder.path} holds the state of another network or of another Keras version: remove it and begin again"
        )
    for variable, array in zip(variables, kept, strict=True):
        variable.assign(array)


@contextmanager
def _curves(folder: RunFolder) -> Iterator[Callable[[RunProgress], None]]:
    """Write curves for TensorBoard, named as Keras names them."""
    import tensorflow as tf

    # As `tf.summary.scalar` would, which wants TensorBoard itself installed. That is only for looking.
    kind = tf.compat.v1.SummaryMetadata(plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"))
    writers = {part: tf.summary.create_file_writer(str(folder.logs / part)) for part in ("train", "validation")}

    def curve(progress: RunProgress) -> None:
        columns = {
            "train": {"epoch_loss": "loss", "epoch_accuracy": "accuracy", "epoch_learning_rate": "learning_rate"},
            "validation": {"epoch_loss": "val_loss", "epoch_accuracy": "val_accuracy"},
        }
        for part, names in columns.items():
            with writers[part].as_default(step=progress.epoch - 1):
                for name, column in names.items():
                    tf.summary.write(name, tf.constant(progress.history[column][-1], tf.float32), metadata=kind)
            writers[part].flush()

    try:
        yield curve
    finally:
        for writer in writers.values():
            writer.close()


@contextmanager
def _stop_asked() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM wait for the batch in work; a second one does not wait. Only the main thread is asked."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        del frame
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
