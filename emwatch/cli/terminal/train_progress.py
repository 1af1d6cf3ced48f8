"""Progress of a training run on stderr: a bar with the time left on a terminal, else a line per epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from emwatch.cli.options import VERBOSITY
from emwatch.cli.terminal.display import printable
from emwatch.cli.terminal.progress import counting_bar, is_shown

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress

    from emwatch.train.network.run_folder import Standing


class TrainingProgress:
    """Hears of a run (`emwatch.train.network.views.Ears`) and shows it; with ``-q`` only warnings."""

    def __init__(self) -> None:
        self._quiet = click.get_current_context().meta.get(VERBOSITY, 0) < 0
        self._bar: Progress | None = None
        self._learning = False

    def __enter__(self) -> Self:
        if is_shown():
            self._bar = counting_bar(pace_over_s=300)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._learning and kind is not None and issubclass(kind, KeyboardInterrupt):
            self.say("the state was saved; the same command continues from there")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._quiet and not line.startswith("warning:"):
            return
        if self._bar is not None:
            self._bar.console.print(printable(line), markup=False, soft_wrap=True)
        else:
            click.echo(printable(line), err=True)

    def counting(self, what: str, done: int, of: int) -> None:
        """Show how many frames are done."""
        self._show(what, done, of)

    def standing(self, at: Standing) -> None:
        """Show the state of the training; a finished epoch gets its own line."""
        if not self._learning and (at.epoch > 1 or at.batch > 1):
            self.say(
                f"going on with an unfinished run in epoch {at.epoch} of {at.epochs}, batch {at.batch} of {at.batches}"
            )
        self._learning = True
        what = f"{at.phase}, epoch {at.epoch} of {at.epochs}: loss {at.loss:.3f}, accuracy {at.accuracy:.3f}"
        if at.val_loss is None:
            self._show(what, (at.epoch - 1) * at.batches + at.batch, at.epochs * at.batches)
            return
        if at.epoch == 0:
            what = at.phase
        best = ", the best so far" if at.best_epoch == at.epoch else ""
        self.say(f"{what}; validation loss {at.val_loss:.3f}, accuracy {at.val_accuracy:.3f}{best}")

    def _show(self, what: str, done: int, of: int) -> None:
        if self._bar is None:
            return
        # One bar for each task, started at its current position: the time left depends on the pace of this task only,
        # not on earlier ones or an interrupted run.
        shown = next(iter(self._bar.tasks), None)
        if shown is None or shown.total != of or done <= shown.completed:
            if shown is not None:
                self._bar.remove_task(shown.id)
            self._bar.add_task(what, total=of, completed=done)
        else:
            self._bar.update(shown.id, description=what, completed=done)
