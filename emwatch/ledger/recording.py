"""
The rules of recording: what one outcome changes, inside one transaction.

A path has at any time exactly one current row (``superseded_by IS NULL``); older contents stay as superseded rows,
linked both ways. (path, sha256) is the identity: no content is ever recorded twice under one path.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.dialects.sqlite import insert

from emwatch.errors import ReaderDied
from emwatch.frame import FrameState
from emwatch.ledger import row_values
from emwatch.ledger.current import wants_sidecar
from emwatch.ledger.outbox import AlertRules, Queued, drop_matches, write_matches
from emwatch.ledger.prepared import Prepared
from emwatch.ledger.schema import acquisition, bundles, embedding_spaces, embeddings, frames, predictions
from emwatch.ledger.sessions import session_of
from emwatch.session_rules import SessionRules

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from emwatch.frame import Embedding, Match, Outcome, Prediction


# Statements are made once: building one costs more than running it.
_ROW_OF_PATH: Final = select(frames).where(frames.c.path == bindparam("path"), frames.c.superseded_by.is_(None))
_HAS_ROW: Final = Prepared(_ROW_OF_PATH.with_only_columns(frames.c.id))
_ROW_OF_CONTENT: Final = select(frames).where(
    frames.c.path == bindparam("path"), frames.c.sha256 == bindparam("sha256")
)
_ORIGINAL: Final = Prepared(
    select(frames.c.id, frames.c.duplicate_of)
    .where(
        frames.c.sha256 == bindparam("sha256"),
        frames.c.sha256 != "",  # lets SQLite use the partial index
        frames.c.path != bindparam("path"),
        frames.c.state == FrameState.RECORDED,
    )
    .order_by(frames.c.id)
    .limit(1)
)
_LONGEST_RETRY: Final = 360  # times the first delay
_MOST_DOUBLINGS: Final = 20
_ADD_FRAME: Final = Prepared(insert(frames))
_CHANGE_FRAME: Final = update(frames).where(frames.c.id == bindparam("of_id"))
_PUT_METADATA: Final = Prepared(insert(acquisition).prefix_with("OR REPLACE"))
_STORED: Final = select(acquisition.c.vendor, acquisition.c.sidecar, acquisition.c.sidecar_cut).where(
    acquisition.c.frame_id == bindparam("of_frame")
)
_BUNDLE: Final = insert(bundles)
#: An older emwatch did not write names down.
_ADD_BUNDLE: Final = Prepared(
    _BUNDLE.on_conflict_do_update(
        index_elements=["sha256"], set_={"name": _BUNDLE.excluded.name}, where=text("bundles.name = ''")
    )
)
_ADD_PREDICTION: Final = Prepared(insert(predictions))
_OUTDATE_PREDICTION: Final = (
    update(predictions)
    .where(predictions.c.frame_id == bindparam("of_frame"), predictions.c.newest)
    .values(newest=False)
)
_CHANGE_PREDICTION: Final = update(predictions).where(
    predictions.c.frame_id == bindparam("of_frame"), predictions.c.bundle_sha256 == bindparam("of_bundle")
)
_READ_AGAIN: Final = (
    update(frames)
    .where(frames.c.path == bindparam("of_path"), frames.c.superseded_by.is_(None))
    .values(retry_at=bindparam("at"))
)
_ADD_SPACE: Final = Prepared(insert(embedding_spaces).on_conflict_do_nothing(index_elements=["sha256"]))
_PUT_EMBEDDING: Final = Prepared(insert(embeddings).prefix_with("OR REPLACE"))


@dataclass(frozen=True, slots=True)
class Recorded:
    """
    What recording an outcome did.

    ``new``: the file has a row, a content or a state that it did not have before (a repeated failure is not new).
    ``alerts``: the number of alerts queued. ``held_back``: the matches of a frame that is too old to raise alerts.
    ``hit``: the frame met no target before. ``matches``: what it meets.
    """

    frame_id: int
    new: bool
    duplicate_of: int | None = None
    alerts: int = 0
    held_back: int = 0
    hit: bool = field(default=False, compare=False)
    matches: tuple[Match, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """What decides of which session a frame is, and whether a match may raise an alert."""

    sessions: SessionRules = field(default_factory=SessionRules)
    alerts: AlertRules = field(default_factory=AlertRules)


def write_outcome(
    connection: Connection, outcome: Outcome, recorded_at: datetime, settings: RecordingSettings
) -> Recorded:
    """Apply one outcome; see `emwatch.ledger.writer.Ledger.record` for the rules."""
    _read_described_again(connection, outcome, recorded_at)
    path = row_values.path_text(outcome.path)
    current = same = None
    if _HAS_ROW.run(connection, {"path": path}).fetchone() is not None:  # most files are new
        current = connection.execute(_ROW_OF_PATH, {"path": path}).one_or_none()
    if current is not None:
        same = connection.execute(_ROW_OF_CONTENT, {"path": path, "sha256": outcome.sha256}).one_or_none()
    if same is not None and same.state == FrameState.RECORDED:
        seen = _seen_again(connection, same, current, outcome)
        queued = _add_late_findings(connection, seen, outcome, recorded_at, settings.alerts)
        return replace(seen, alerts=queued.alerts, held_back=queued.held_back, hit=queued.hit, matches=queued.matches)
    if current is not None and current.state == FrameState.RECORDED and _says_nothing_of_the_content(outcome):
        retry_at = _retry_at(outcome, recorded_at, current)
        _change(connection, current.id, attempts=current.attempts + 1, retry_at=retry_at)
        return Recorded(current.id, new=False)
    values = row_values.frame_values(outcome, recorded_at)
    values["retry_at"] = _retry_at(outcome, recorded_at, current)
    values["duplicate_of"] = _original_of(connection, path, outcome)
    values |= _session(connection, outcome, values, settings.sessions)
    frame_id, new = _place(connection, path, (current, same), values)
    queued = _add_findings(connection, frame_id, outcome, recorded_at, settings.alerts, first=current is None)
    return Recorded(frame_id, new, values["duplicate_of"], queued.alerts, queued.held_back, queued.hit, queued.matches)


def _read_described_again(connection: Connection, outcome: Outcome, now: datetime) -> None:
    """
    Have the frames read again that a text beside them tells of.

    It stands in the text's own transaction: once its row is committed nothing else would tell of it after a kill.
    """
    if outcome.stat_key is None:
        return
    for path in outcome.may_describe:
        if wants_sidecar(connection, path, outcome.path, outcome.stat_key):
            connection.execute(_READ_AGAIN, {"of_path": row_values.path_text(path), "at": now})


def _retry_at(outcome: Outcome, now: datetime, current: Row[Any] | None) -> datetime | None:
    """
    Return when a file is tried again, ``None``: never.

    The delay doubles with each try in a row, up to an hour for what is tried again after 10 s.
    """
    if outcome.retry_after_s is None:
        return None
    tries = 0 if current is None or current.retry_at is None else min(current.attempts, _MOST_DOUBLINGS)
    return now + timedelta(seconds=outcome.retry_after_s * min(2.0**tries, _LONGEST_RETRY))


def _change(connection: Connection, frame_id: int, **values: object) -> None:
    connection.execute(_CHANGE_FRAME, {"of_id": frame_id, **values})


def _seen_again(connection: Connection, same: Row[Any], current: Row[Any] | None, outcome: Outcome) -> Recorded:
    """Refresh what a recorded content looks like on disk; it is the current one again if it was not."""
    if current is not None and current.id != same.id:
        _put_last(connection, same, current)
    values = {} if outcome.stat_key is None else row_values.stat_values(outcome.stat_key)
    _change(connection, same.id, retry_at=None, **values)
    return Recorded(same.id, new=False, duplicate_of=same.duplicate_of)


def _add_late_findings(
    connection: Connection, seen: Recorded, outcome: Outcome, recorded_at: datetime, rules: AlertRules
) -> Queued:
    """Add metadata that came after the frame, or from a corrected sidecar, and what follows from them."""
    unchanged = Queued(matches=tuple(each for each in outcome.matches if each.among is None))
    if outcome.reading is None or outcome.reading.metadata.vendor is None:
        return unchanged
    stored, sidecar = (
        connection.execute(_STORED, {"of_frame": seen.frame_id}).one_or_none(),
        outcome.reading.metadata.sidecar,
    )
    if stored is None:
        return unchanged
    another = sidecar is not None and (stored.sidecar is None or stored.sidecar["sha256"] != sidecar.sha256)
    if not (another or stored.vendor is None or stored.sidecar_cut):
        return unchanged
    drop_matches(connection, seen.frame_id, [each.target for each in outcome.matches])
    return _add_findings(connection, seen.frame_id, outcome, recorded_at, rules)


def _says_nothing_of_the_content(outcome: Outcome) -> bool:
    """Return whether a file was only out of reach (locked, gone, share away): nothing suggests that it changed."""
    out_of_reach = outcome.retry_after_s is not None and outcome.code != ReaderDied.code
    return not outcome.sha256 and (out_of_reach or outcome.stat_key is None)


def _original_of(connection: Connection, path: str, outcome: Outcome) -> int | None:
    if outcome.state != FrameState.RECORDED or not outcome.sha256:
        return None
    found = _ORIGINAL.run(connection, {"sha256": outcome.sha256, "path": path}).fetchone()
    return None if found is None else found[1] or found[0]


def _session(
    connection: Connection, outcome: Outcome, values: row_values.Values, rules: SessionRules
) -> row_values.Values:
    """Return the columns that say of which session and instrument a file is."""
    place, written_at = rules.place_of(outcome.path), values["file_modified_at"]
    if written_at is None or outcome.state not in {FrameState.RECORDED, FrameState.FAILED}:
        return {"session_id": None, "instrument_id": place.instrument}
    session_id, instrument = session_of(connection, written_at, rules.gap, place)
    return {"session_id": session_id, "instrument_id": instrument}


def _place(
    connection: Connection,
    path: str,
    present: tuple[Row[Any] | None, Row[Any] | None],
    values: row_values.Values,
) -> tuple[int, bool]:
    """Put the outcome into the row it belongs to: the unfinished current one, an earlier one of this content, a new one."""
    current, same = present
    first_seen_at = values.pop("first_seen_at")  # kept if the path has a row
    row = same if same is not None else current
    if current is not None and row is not None and (same is not None or row.state != FrameState.RECORDED):
        if row.id != current.id:
            _put_last(connection, row, current)
        _change(connection, row.id, attempts=row.attempts + 1, **values)
        before = (current.sha256, current.state, current.code)
        return int(row.id), before != (values["sha256"], values["state"], values["code"])
    values = {**values, "path": path, "first_seen_at": first_seen_at}
    if current is not None:
        # Points at itself for a moment: two current rows of one path are refused, and the new id is not known yet.
        _change(connection, current.id, superseded_by=current.id)
        values["supersedes"] = current.id
    frame_id = int(_ADD_FRAME.run(connection, values).lastrowid or 0)
    if current is not None:
        _change(connection, current.id, superseded_by=frame_id)
    return frame_id, True


def _put_last(connection: Connection, row: Row[Any], current: Row[Any]) -> None:
    """Make a superseded row the current one again: move it to the end of its path's chain."""
    _change(connection, row.superseded_by, supersedes=row.supersedes)
    if row.supersedes is not None:
        _change(connection, row.supersedes, superseded_by=row.superseded_by)
    _change(connection, current.id, superseded_by=row.id)
    _change(connection, row.id, superseded_by=None, supersedes=current.id)


def _add_findings(
    connection: Connection,
    frame_id: int,
    outcome: Outcome,
    recorded_at: datetime,
    rules: AlertRules,
    *,
    first: bool = False,
) -> Queued:
    """Add metadata, prediction and matches, and the alerts that the matches may raise; ``first``: there are none yet."""
    if outcome.reading is not None:
        values = row_values.metadata_values(outcome.reading.metadata)
        _PUT_METADATA.run(connection, {"frame_id": frame_id, **values})
    if outcome.prediction is not None:
        write_prediction(connection, frame_id, outcome.prediction, recorded_at, first=first)
    return write_matches(connection, frame_id, outcome.matches, recorded_at, rules)


def write_prediction(
    connection: Connection, frame_id: int, prediction: Prediction, made_at: datetime, *, first: bool = False
) -> None:
    """
    Add a bundle's prediction as the frame's newest; an earlier one of the same bundle is replaced.

    ``first``: the frame is known to have none.
    """
    values = row_values.prediction_values(prediction, made_at)
    bundle = {"sha256": prediction.bundle_sha256, "name": prediction.bundle_name, "first_used_at": made_at}
    _ADD_BUNDLE.run(connection, bundle)
    if prediction.embedding is not None:
        write_embedding(connection, frame_id, prediction.embedding)
    if not first and connection.execute(_OUTDATE_PREDICTION, {"of_frame": frame_id}).rowcount:
        of = {"of_frame": frame_id, "of_bundle": prediction.bundle_sha256}
        if connection.execute(_CHANGE_PREDICTION, {**of, **values, "newest": True}).rowcount:
            return
    _ADD_PREDICTION.run(connection, {"frame_id": frame_id, "newest": True, **values})


def write_embedding(connection: Connection, frame_id: int, embedding: Embedding) -> None:
    """Add a frame's embedding; an earlier one in the same space is replaced."""
    space = embedding.space
    values = {"backbone_sha256": space.backbone_sha256, "projection_sha256": space.projection_sha256}
    _ADD_SPACE.run(connection, {"sha256": space.sha256, "width": space.width, **values})
    _PUT_EMBEDDING.run(connection, {"frame_id": frame_id, "space_sha256": space.sha256, "vector": embedding.values})
