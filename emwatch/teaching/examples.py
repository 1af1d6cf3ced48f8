"""The frames that teach: those the operator names, seen in several crops and turns, and a background of other things."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify.bundles import store
from emwatch.classify.bundles.arrays import bounded_arrays
from emwatch.classify.bundles.bundle import LESSONS, PROJECTION, open_extra
from emwatch.classify.preprocess import prepared_by
from emwatch.errors import FrameError, ModelError, NotAFrame, TargetError, Vanished
from emwatch.frame import CATEGORIES, path_to_text
from emwatch.ledger.query import LedgerReader
from emwatch.readers.sandbox.frame_sandbox import Sandbox
from emwatch.readers.sandbox.limits import reading_limits
from emwatch.targets.learned import unit, vectors
from emwatch.teaching.store import Example

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    import numpy.typing as npt

    from emwatch.classify.classifier import Classifier
    from emwatch.config import Config
    from emwatch.frame import FrameReading
    from emwatch.targets.learned import Rows

#: Frames of the ledger that nobody called a hit.
RECENT: Final = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """An example with the category that the model gives it; ``frame_id``: in the ledger, if it is there."""

    example: Example
    category: str
    frame_id: int | None


def open_classifier(config: Config) -> Classifier:
    """Load the model in use. Raises `ModelError`, also if it makes no embeddings."""
    classifier = store.in_use(config).load(config.model.engine, config.model.threads)
    if classifier.space is None:
        raise ModelError(
            f"the model in use has no {PROJECTION}: targets cannot be learned with it; activate one that was made by "
            "'emwatch model build' or 'emwatch train heads'"
        )
    return classifier


def shown(
    config: Config,
    classifier: Classifier,
    reader: LedgerReader | None,
    named: Sequence[str | int | Path],
    *,
    wanted: bool,
) -> list[Shown]:
    """
    Read and embed frames, named by number of the log or path, each in several crops and turns.

    A frame of the log whose file is gone, or holds another frame since, is taken from its stored embedding. Raises
    `TargetError` naming what cannot be used.
    """
    found = []
    with Sandbox(prepared_by(5), reading_limits(config)) as sandbox:
        for name in named:
            path, frame_id = located(reader, name)
            try:
                reading = read_as_named(sandbox, reader, name, path, frame_id)
            except TargetError:
                kept = _from_ledger(reader, classifier, frame_id, wanted=wanted)
                if kept is None:
                    raise
                found.append(kept)
                continue
            views = tuple(_views(classifier, reading.views))
            category = classifier.classify(reading.views[:1], reading.coloured_share).category
            found.append(Shown(Example(path_to_text(path), reading.sha256, wanted, views), category, frame_id))
    return found


def read(sandbox: Sandbox, path: Path) -> FrameReading:
    """Read a frame that somebody named. Raises `TargetError` that says what is wrong with it."""
    try:
        sandbox.begin(path)
        return sandbox.finish()
    except FrameError as error:
        trouble = f"{path_to_text(path)}: there is no such file" if isinstance(error, Vanished) else str(error)
        if isinstance(error, Vanished | NotAFrame):
            trouble += "; name frames, by path or by the number that emwatch log shows"
        raise TargetError(trouble) from error


def read_as_named(
    sandbox: Sandbox, reader: LedgerReader | None, name: str | int | Path, path: Path, frame_id: int | None
) -> FrameReading:
    """Read a frame that `located` found; a number means the recorded bytes. Raises `TargetError`, also for other ones."""
    reading = read(sandbox, path)
    if reader is not None and frame_id is not None and _is_number(name):
        recorded = reader.facts([frame_id])[frame_id].sha256
        if recorded != reading.sha256:
            raise TargetError(
                f"frame {frame_id}: {path_to_text(path)} was overwritten since it was recorded: name the file to mean "
                "what it holds now"
            )
    return reading


def recent(reader: LedgerReader, space_sha256: str, without: set[int]) -> Rows:
    """Return embeddings of the newest frames of the log that met no target, (n, width)."""
    stored = reader.embeddings(space_sha256, limit=RECENT, no_hits=True)
    kept = [blob for number, blob in zip(stored.frame_ids, stored.vectors, strict=True) if number not in without]
    return vectors(kept) if kept else np.empty((0, 0))


def background(classifier: Classifier, without: set[str]) -> Rows:
    """Return embeddings of what taught the bundle, but for the categories ``without``, (n, width); empty if it has none."""
    bundle = classifier.bundle
    lessons = None if bundle is None else open_extra(bundle.directory, LESSONS)
    if bundle is None or lessons is None or classifier.space is None:
        return np.empty((0, 0))
    arrays = bounded_arrays(lessons)
    kept = [CATEGORIES[each] not in without for each in arrays["categories"]]
    return unit(arrays["bare"][kept, : classifier.space.width].astype(np.float32))


def reader_of(config: Config) -> AbstractContextManager[LedgerReader | None]:
    """Return the ledger to read from, as a context; of ``None`` if there is none yet."""
    return LedgerReader(config.ledger.path) if config.ledger.path.exists() else nullcontext()


def located(reader: LedgerReader | None, name: str | int | Path) -> tuple[Path, int | None]:
    """Return path and number of a frame; a number, and digits, are of the log unless a file is called so."""
    text = str(name)
    if not text:
        raise TargetError("the name of a frame is empty; was it meant to come from a variable that is not set?")
    if _is_number(name):
        row = None if reader is None else reader.to_review(int(text))
        if row is None:
            raise TargetError(f"{text}: no recorded frame has this number; emwatch log shows the numbers")
        return row.path, row.frame_id
    path = Path(text).absolute()
    row = None if reader is None else reader.to_review(path)
    if row is None and reader is not None and not path.exists() and (number := reader.number_called(text)) is not None:
        row = reader.to_review(number)
    return (path, None) if row is None else (row.path, row.frame_id)


def _is_number(name: str | int | Path) -> bool:
    text = str(name)
    return isinstance(name, int) or (text.isascii() and text.isdecimal() and not Path(text).exists())


def _from_ledger(
    reader: LedgerReader | None, classifier: Classifier, frame_id: int | None, *, wanted: bool
) -> Shown | None:
    if reader is None or frame_id is None or classifier.space is None:
        return None
    vector, facts = reader.embedding(frame_id, classifier.space.sha256), reader.facts([frame_id])[frame_id]
    if vector is None:
        return None
    example = Example(path_to_text(facts.path), facts.sha256, wanted, (vector,))
    return Shown(example, facts.category or "", frame_id)


def _views(classifier: Classifier, views: npt.NDArray[np.float32]) -> Iterator[bytes]:
    """Yield embeddings: of the centre as it is, mirrored and turned by a right angle, and of the corners."""
    centre, corners = views[0], views[1:]
    for view in (centre, centre[:, ::-1], np.rot90(centre), *corners[:2]):
        if found := classifier.compact(classifier.embed(np.ascontiguousarray(view)[np.newaxis])):
            yield found.values
