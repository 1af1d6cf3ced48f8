"""
What a worker of an archive scan does: reads and classifies a batch of files, in its own process or on another machine.

It sees neither ledger nor configuration: `Work` says all it needs, and outcomes go back to the one writer.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import emwatch
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepared_by
from emwatch.errors import FrameError, ModelError
from emwatch.frame import StatKey
from emwatch.ingest.pipeline import failed, faulted, judged
from emwatch.readers.sandbox.frame_sandbox import Sandbox, read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    import numpy as np
    import numpy.typing as npt

    from emwatch.frame import FrameReading, Outcome, Prediction
    from emwatch.ingest.pipeline import Judge
    from emwatch.readers.sandbox.limits import Limits
    from emwatch.targets.rules import Target

#: Files of one folder, as they were seen when they were listed.
Batch: TypeAlias = tuple[tuple[Path, StatKey], ...]

_NICENESS: Final = 10


@dataclass(frozen=True, slots=True)
class Work:
    """
    How files are to be read and classified; the same for every batch of a scan.

    ``bundle``: a directory that each worker can see, ``None`` for the one that comes with emwatch. ``bundle_sha256`` is
    checked there. A frame may meet ``targets``; nothing here raises an alert.
    """

    bundle: Path | None
    bundle_sha256: str
    engine: str
    threads: int
    views: int
    doubt_by_scale: bool
    limits: Limits
    targets: tuple[Target, ...]
    emwatch_version: str = emwatch.__version__


class _Tools:
    """A reader and a model, kept from batch to batch; of one thread, as a Dask worker may run several."""

    def __init__(self, work: Work) -> None:
        if work.emwatch_version != emwatch.__version__:
            raise ModelError(
                f"a worker on {_host()} has emwatch {emwatch.__version__}, expected {work.emwatch_version}; "
                "install the same version on every worker"
            )
        self.work = work
        with ExitStack() as stack:
            self.sandbox = stack.enter_context(Sandbox(prepared_by(work.views), work.limits))
            self.sandbox.start()
            self.judge = _judge(work)
            self.close: Callable[[], None] = stack.pop_all().close


_local = threading.local()


def work_on(work: Work, batch: Batch) -> list[Outcome]:
    """
    Return the outcome of each file of a batch.

    Raises:
        ModelError: this worker cannot use the bundle, or has another emwatch; every batch would end so.

    """
    tools = _tools(work)
    outcomes = []
    for (path, stat_key), result in read_ahead(batch, [tools.sandbox], lambda sandbox, file: sandbox.begin(file[0])):
        if isinstance(result, FrameError):
            outcomes.append(failed(path, stat_key, result))
        else:
            outcomes.append(_concluded(result, tools.judge, work.targets))
    return outcomes


def begin_process() -> None:
    """Prepare a worker process of this machine: others come first, Ctrl-C is the parent's, and it ends with its parent."""
    import multiprocessing
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True, name="parent").start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _tools(work: Work) -> _Tools:
    tools: _Tools | None = getattr(_local, "tools", None)
    if tools is None or tools.work != work:
        if tools is not None:
            tools.close()
        tools = _local.tools = _Tools(work)
    return tools


def _judge(work: Work) -> Judge:
    if work.bundle is not None and not work.bundle.is_dir():
        raise ModelError(f"{work.bundle}: not found on {_host()}; every worker must see the bundle at the same path")
    classifier = Classifier.load(work.bundle, work.engine, work.threads)
    if classifier.bundle_sha256 != work.bundle_sha256:
        raise ModelError(
            f"{work.bundle}: on {_host()} it is {classifier.bundle_sha256[:12]}, expected {work.bundle_sha256[:12]}; "
            "copy the same bundle to every worker"
        )
    return classifier if work.doubt_by_scale else _OfAnyScale(classifier)


@dataclass(frozen=True, slots=True)
class _OfAnyScale:
    """A model that is not told the width of the field."""

    classifier: Classifier

    def classify(
        self,
        views: npt.NDArray[np.float32],
        coloured_share: float = 0.0,
        field_width_um: float | None = None,  # noqa: ARG002 - the signature of a judge
    ) -> Prediction:
        return self.classifier.classify(views, coloured_share)


def _concluded(reading: FrameReading, judge: Judge, targets: tuple[Target, ...]) -> Outcome:
    try:
        return judged(reading, judge, targets)
    except Exception as error:  # noqa: BLE001 - as in the pipeline: an unforeseen fault costs one frame, with a reason
        return faulted(reading, error)


def _host() -> str:
    import socket

    return socket.gethostname()
