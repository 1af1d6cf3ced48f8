from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from emwatch.frame import (
    CATEGORIES,
    AcquisitionMetadata,
    FrameReading,
    FrameState,
    Match,
    Outcome,
    Prediction,
    Reading,
    StatKey,
)
from emwatch.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


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
    def make(written_at: datetime = NOON, size: int = 1000, inode: int = 7) -> StatKey:
        mtime_ns = int(written_at.timestamp() * 1_000_000) * 1000
        return StatKey(size, mtime_ns, mtime_ns, inode)

    return make


@pytest.fixture(name="prediction_of", scope="session")
def _prediction_of() -> Callable[..., Prediction]:
    def make(category: str, probability: float = 0.9, *, uncertain: bool = False, bundle: str = "b") -> Prediction:
        scores = dict.fromkeys(CATEGORIES, (1 - probability) / 9) | {category: probability}
        return Prediction(category, probability, scores, uncertain, probability - 0.05, bundle * 64, novelty=0.25)

    return make


@pytest.fixture(name="frame_of", scope="session")
def _frame_of(key_of: Callable[..., StatKey], prediction_of: Callable[..., Prediction]) -> Callable[..., Outcome]:
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
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        key = key or key_of(written_at)
        readings = {name: Reading(value, f"{value} raw", f"tag {name}") for name, value in (numbers or {}).items()}
        metadata = AcquisitionMetadata("zeiss", readings, ("odd",))
        views = np.zeros((1, 1, 1), np.float32)
        reading = FrameReading(Path(path), sha256, key, "TIFF", 1024, 768, "uint8", 1, metadata, views)
        matches = tuple(Match(target, f"because {target}", channels) for target in targets)
        prediction = prediction_of(category, **said)
        return Outcome(
            Path(path), FrameState.RECORDED, key, sha256, reading=reading, prediction=prediction, matches=matches
        )

    return make


@pytest.fixture(name="failure_of", scope="session")
def _failure_of(key_of: Callable[..., StatKey]) -> Callable[..., Outcome]:
    """Make the outcome of a file that was looked into in vain; ``content`` "" where its bytes are not known."""

    def make(
        path: str = "/acq/a.tif",
        content: str = "",
        state: FrameState = FrameState.FAILED,
        code: str = "truncated",
        retry_after_s: float | None = None,
    ) -> Outcome:
        sha256 = hashlib.sha256(content.encode()).hexdigest() if content else ""
        return Outcome(Path(path), state, key_of(), sha256, code, f"{path}: {code}", retry_after_s)

    return make
