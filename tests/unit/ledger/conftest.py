from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from emwatch.frame import (
    FrameState,
    Outcome,
    Prediction,
    StatKey,
)
from emwatch.ledger.writer import Ledger
from emwatch.testing import NOON, make_failure, make_metadata, make_outcome, make_prediction, make_stat_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path


@pytest.fixture(autouse=True, scope="package")
def _utc() -> Iterator[None]:
    """Name sessions in UTC, wherever the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(name="noon", scope="session")
def _noon() -> datetime:
    return NOON


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture(name="key_of", scope="session")
def _key_of() -> Callable[..., StatKey]:
    return make_stat_key


@pytest.fixture(name="prediction_of", scope="session")
def _prediction_of() -> Callable[..., Prediction]:
    def make(category: str, probability: float = 0.9, *, uncertain: bool = False, bundle: str = "b") -> Prediction:
        made = make_prediction(category, probability, uncertain=uncertain, bundle_sha256=bundle * 64)
        return replace(made, margin=probability - 0.05, novelty=0.25)

    return make


@pytest.fixture(name="frame_of", scope="session")
def _frame_of(prediction_of: Callable[..., Prediction]) -> Callable[..., Outcome]:
    """Make the outcome of a frame that was read; ``content`` stands for its bytes."""

    def make(
        path: str = "/acq/a.tif",
        content: str = "A",
        *,
        category: str = "Tips",
        targets: tuple[str, ...] = (),
        channels: tuple[str, ...] = ("terminal",),
        written_at: datetime = NOON,
        key: StatKey | None = None,
        numbers: dict[str, float] | None = None,
        **said: object,
    ) -> Outcome:
        key = key or make_stat_key(written_at)
        metadata = make_metadata(flags=("odd",), **numbers or {})
        outcome = make_outcome(path, content, targets=targets, channels=channels, stat_key=key)
        reading = replace(outcome.reading, stat_key=key, metadata=metadata)
        return replace(outcome, reading=reading, prediction=prediction_of(category, **said))

    return make


@pytest.fixture(name="failure_of", scope="session")
def _failure_of() -> Callable[..., Outcome]:
    """Make the outcome of a file that could not be read; ``content`` is "" if its bytes are not known."""

    def make(
        path: str = "/acq/a.tif",
        content: str = "",
        state: FrameState = FrameState.FAILED,
        code: str = "truncated",
        retry_after_s: float | None = None,
    ) -> Outcome:
        return make_failure(path, content, code, state=state, retry_after_s=retry_after_s)

    return make
