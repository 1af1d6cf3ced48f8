"""Batches of an archive scan worked on by a Dask distributed cluster; the one importer of ``distributed``."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import distributed

import emwatch
from emwatch.errors import EmwatchError
from emwatch.ingest.archive_worker import work_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emwatch.frame import Outcome
    from emwatch.ingest.archive_worker import Batch, Work

_CONNECT_S: Final = 10


class ClusterWorkers:
    """The workers of a cluster; it schedules, and hands the batches of a lost worker to another one by itself."""

    are_local = False

    def __init__(self, address: str) -> None:
        self._address = address
        try:
            # A client of an address that cannot be one is half made, and complains at the end of the process.
            distributed.comm.get_address_host_port(address)
            self._client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:  # a time-out is an OSError
            raise EmwatchError(
                f"{address}: no Dask scheduler answers there ({error}); expected an address such as tcp://host:8786"
            ) from error
        self._executor = self._client.get_executor(pure=False)

    @property
    def count(self) -> int:
        """The number of threads of all workers that are there now."""
        return sum(self._client.nthreads().values())

    def submit(self, work: Work, batch: Batch) -> Future[list[Outcome]]:
        """Hand out a batch."""
        answer: Future[list[Outcome]] = Future()
        self._executor.submit(work_on, work, batch).add_done_callback(lambda done: self._answer(answer, done))
        return answer

    def revive(self) -> None:
        """Go on with the workers that are left. Raises `EmwatchError` if the scheduler is gone."""
        if self._client.status != "running":
            raise EmwatchError(f"{self._address}: the Dask scheduler is gone; the same command goes on from here")

    def close(self) -> None:
        """Leave the cluster."""
        self._executor.shutdown(wait=False)
        self._client.close()

    def _answer(self, answer: Future[list[Outcome]], done: Future[list[Outcome]]) -> None:
        try:
            answer.set_result(done.result())
        except (
            distributed.scheduler.KilledWorker,
            distributed.CancelledError,
            distributed.comm.CommClosedError,
        ) as error:
            answer.set_exception(BrokenExecutor(str(error)))
        except (ImportError, AttributeError, RuntimeError) as error:
            wanted = f"install emwatch {emwatch.__version__} on the scheduler and every worker"
            answer.set_exception(EmwatchError(f"{self._address}: its workers cannot run emwatch ({error}); {wanted}"))
        except BaseException as error:  # noqa: BLE001 - whatever a worker raised is raised here
            answer.set_exception(error)


@contextmanager
def cluster_workers(address: str) -> Iterator[ClusterWorkers]:
    """Join a cluster, and leave it afterwards. Raises `EmwatchError` if no scheduler answers."""
    workers = ClusterWorkers(address)
    try:
        yield workers
    finally:
        workers.close()
