"""Read-only questions to the ledger, beside a running writer or without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import func, select

from emwatch.errors import LedgerError
from emwatch.filesystem import real_path
from emwatch.frame import path_to_text
from emwatch.ledger import candidates, current, embeddings, positions, reviews, row_values, session_rows, tellings
from emwatch.ledger.choosing import count_of, rows_of
from emwatch.ledger.current import Account
from emwatch.ledger.file_to_ask import FileToAsk
from emwatch.ledger.filters import LogFilter
from emwatch.ledger.log_row import LogRow, log_row, stored_columns
from emwatch.ledger.predictions import Unjudged, count_unjudged, unjudged
from emwatch.ledger.reviews import ReviewRow, ToReview
from emwatch.ledger.schema import acquisition, frames, matches, predictions
from emwatch.ledger.session_facts import deliveries, first_used_at, models_used
from emwatch.ledger.session_rows import NoteRow, SessionRow
from emwatch.ledger.stats import Counted, stats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from types import TracebackType

    from sqlalchemy import Connection

    from emwatch.frame import AcquisitionMetadata, Candidate, Embedding
    from emwatch.ledger.embeddings import FrameFacts, StoredEmbeddings
    from emwatch.ledger.positions import Position
    from emwatch.ledger.server.asking import ServerToAsk
    from emwatch.ledger.server.connect import Server
    from emwatch.ledger.session_facts import Delivery, ModelUse
    from emwatch.ledger.tellings import AlertRow

__all__ = [
    "Account",
    "LedgerReader",
    "LogFilter",
    "LogRow",
    "NoteRow",
    "ReviewRow",
    "SessionRow",
    "ToReview",
    "Unjudged",
]

_ROWS_AT_A_TIME = 500


#: So many frames of one name are told to who means one of them.
_NAMESAKES = 5


class LedgerReader:
    """
    A ledger's file, or the ledgers of a server, for reading only: never disturbs the writer, never changes a byte.

    On a server everything is answered but embeddings, candidates of targets, and files of a folder.

    Raises:
        LedgerError: there is no such file, it is not a ledger, or it needs to be migrated first.

    """

    def __init__(self, place: Path | Server) -> None:
        #: As messages name it.
        self.name = path_to_text(place) if isinstance(place, Path) else place.name
        self._asked: FileToAsk | ServerToAsk
        if isinstance(place, Path):
            self._asked = FileToAsk(place)
        else:
            from emwatch.ledger.server.asking import ServerToAsk

            self._asked = ServerToAsk(place)
        #: False for a file that was killed before its first commit: it has no rows, and one thread may ask at a time.
        self.has_tables = self._asked.has_tables

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._asked.close()

    def _snapshot(self, wanted: LogFilter | None = None) -> AbstractContextManager[Connection]:
        """Return a connection for questions about one moment; ``wanted``: the filter that will be asked."""
        return self._asked.snapshot(wanted)

    def _of_file(self, wanted: LogFilter | None = None) -> AbstractContextManager[Connection]:
        """Return a connection for what only a microscope's own ledger answers. Raises `LedgerError` for a server."""
        if not isinstance(self._asked, FileToAsk):
            raise LedgerError("a server does not answer this: use the ledger's file of the microscope, with `--ledger`")
        return self._asked.snapshot(wanted)

    def accounts(self, folder: Path, names: Sequence[str]) -> dict[str, Account]:
        """Return what is recorded of the files of a folder, by name; files without a row are left out."""
        with self._of_file() as connection:
            return current.accounts(connection, folder, names)

    def rows_below(self, folder: Path) -> int:
        """Count the current rows of files in a folder and below it."""
        with self._of_file() as connection:
            return current.rows_below(connection, folder)

    def rows(self, wanted: LogFilter = LogFilter()) -> Iterator[LogRow]:  # noqa: B008 - frozen, so one for all is right
        """Yield the rows as they were at one moment; memory does not grow with their number."""
        with self._snapshot(wanted) as connection:
            for row in connection.execution_options(yield_per=_ROWS_AT_A_TIME).execute(rows_of(connection, wanted)):
                yield log_row(row)

    def stored(self, wanted: LogFilter, names: Sequence[str]) -> Iterator[Sequence[Any]]:
        """
        Yield some columns of the rows as the ledger stores them: times are UTC text, documents JSON, booleans 0 and 1.

        For millions of rows: `rows` makes objects, which takes several times as long.
        """
        with self._snapshot(wanted) as connection:
            question = rows_of(connection, wanted, stored_columns(names))
            for row in connection.execution_options(yield_per=_ROWS_AT_A_TIME).execute(question):
                yield self._asked.as_stored(row)

    def alerts(
        self, *, state: str | None = None, target: str | None = None, frame_id: int | None = None, limit: int
    ) -> list[AlertRow]:
        """Return alerts, the newest first; ``None``: whatever their state, target or frame."""
        with self._snapshot() as connection:
            return tellings.listed(connection, state=state, target=target, frame_id=frame_id, limit=limit)

    def number_of(self, path: Path) -> int | None:
        """Return the number of the current row of a file, ``None`` without one; on a server the newest of that path."""
        of_path = (frames.c.path == row_values.path_text(path)) & frames.c.superseded_by.is_(None)
        with self._snapshot() as connection:
            return connection.scalar(select(frames.c.id).where(of_path).order_by(frames.c.recorded_at.desc()))

    def number_meant(self, frame: str) -> int | None:
        """
        Return the number that is written, or that of the current row of the file with this path or name; ``None`` without one.

        Raises `LedgerError` if several files have the name.
        """
        number = row_values.row_number(frame)
        if number is not None:
            return number
        return self.number_of(Path(frame)) or self.number_of(real_path(Path(frame))) or self.number_called(frame)

    def number_called(self, name: str) -> int | None:
        """
        Return the number of the one current frame whose path ends with a name, as tables of the log shorten it.

        ``None`` if there is none. Raises `LedgerError` if there are several.
        """
        if not name or set(name) & set("*?"):
            return None
        called = list(self.rows(LogFilter(path=f"*/{name}", limit=_NAMESAKES + 1)))
        if len(called) > 1:
            first = ", ".join(str(each.id) for each in called[:_NAMESAKES]) + ", ..." * (len(called) > _NAMESAKES)
            raise LedgerError(f"{name}: several frames are called so: {first}; give the number, or the whole path")
        return called[0].id if called else None

    def unacknowledged(self, *, target: str | None, ids: Sequence[int] | None) -> list[int]:
        """Return the numbers of alerts that were told and that nobody has acknowledged, of a target or among ``ids``."""
        with self._of_file() as connection:
            return tellings.unacknowledged(connection, target=target, ids=ids)

    def deliveries(self, wanted: LogFilter) -> list[Delivery]:
        """Return the alerts of the wanted frames, the oldest first."""
        with self._snapshot(wanted) as connection:
            return deliveries(connection, wanted)

    def models_used(self, wanted: LogFilter) -> list[ModelUse]:
        """Return the models whose predictions count for the wanted frames, the most used first."""
        with self._snapshot(wanted) as connection:
            return models_used(connection, wanted)

    def first_used_at(self) -> datetime | None:
        """Return when a frame was first classified for this ledger's file, ``None`` if none was."""
        with self._of_file() as connection:
            return first_used_at(connection)

    def snoozed(self, now: datetime) -> dict[str, datetime]:
        """Return until when alerts are held, by target; "" stands for every target."""
        with self._snapshot() as connection:
            return tellings.snoozed_until(connection, now)

    def count(self, wanted: LogFilter = LogFilter()) -> int:  # noqa: B008 - frozen, so one for all is right
        """Return the number of rows."""
        with self._snapshot(wanted) as connection:
            return connection.scalar(count_of(connection, wanted)) or 0

    def positions(self, wanted: LogFilter) -> list[Position]:
        """Return the frames of a selection with where on the stage they were taken; see `emwatch.stage`."""
        with self._snapshot(wanted) as connection:
            return positions.positions(connection, wanted)

    def stats(self, wanted: LogFilter, by: Sequence[str]) -> list[Counted]:
        """Return how many frames there are by each of ``by``; see `emwatch.ledger.stats`."""
        with self._snapshot(wanted) as connection:
            return stats(connection, wanted, by)

    def unjudged(
        self,
        wanted: LogFilter,
        bundle_sha256: str,
        space_sha256: str | None = None,
        *,
        before_id: int | None = None,
        limit: int = _ROWS_AT_A_TIME,
    ) -> list[Unjudged]:
        """
        Return up to ``limit`` frames that a bundle has not classified yet, the newest first, below ``before_id``.

        ``space_sha256``: also those without an embedding in this space.
        """
        with self._of_file(wanted) as connection:
            return unjudged(connection, wanted, bundle_sha256, space_sha256, before_id=before_id, limit=limit)

    def count_unjudged(self, wanted: LogFilter, bundle_sha256: str, space_sha256: str | None = None) -> int:
        """Count all of `unjudged`."""
        with self._of_file(wanted) as connection:
            return count_unjudged(connection, wanted, bundle_sha256, space_sha256)

    def reviews(self, wanted: LogFilter) -> list[ReviewRow]:
        """Return all reviews of the wanted frames, the newest first."""
        with self._snapshot(wanted) as connection:
            return reviews.of_frames(connection, wanted)

    def to_review(self, frame: int | Path) -> ToReview | None:
        """Return the recorded frame with this number, or the current one at this path; ``None`` if there is none."""
        with self._snapshot() as connection:
            return reviews.frame_to_review(connection, frame)

    def scores(self, frame_id: int) -> dict[str, dict[str, float]]:
        """Return all scores of a frame by the sha256 of the bundle that made them, the newest first."""
        question = (
            select(predictions.c.bundle_sha256, predictions.c.scores)
            .where(predictions.c.frame_id == frame_id)
            .order_by(predictions.c.newest.desc(), predictions.c.made_at.desc(), predictions.c.id.desc())
        )
        with self._snapshot() as connection:
            return {row.bundle_sha256: row.scores for row in connection.execute(question)}

    def metadata(self, frame_id: int) -> AcquisitionMetadata | None:
        """Return a frame's metadata as they were read, ``None`` for a file that was never read."""
        with self._snapshot() as connection:
            row = connection.execute(select(acquisition).where(acquisition.c.frame_id == frame_id)).one_or_none()
        if row is None:
            return None
        return row_values.metadata_of(row)

    def embeddings(
        self,
        space_sha256: str,
        *,
        since: datetime | None = None,
        limit: int | None = None,
        no_hits: bool = False,
    ) -> StoredEmbeddings:
        """Return the embeddings of current frames in one space, the newest first; see `emwatch.ledger.embeddings`."""
        with self._of_file() as connection:
            return embeddings.stored(connection, space_sha256, since=since, limit=limit, no_hits=no_hits)

    def embedding(self, frame_id: int, space_sha256: str) -> bytes | None:
        """Return a frame's embedding in a space, ``None`` without one."""
        with self._of_file() as connection:
            return embeddings.of_frame(connection, frame_id, space_sha256)

    def newest_embedding(self, frame_id: int) -> Embedding | None:
        """Return the embedding of a frame that was made last, ``None`` if it has none."""
        with self._of_file() as connection:
            return embeddings.newest(connection, frame_id)

    def facts(self, frame_ids: Sequence[int]) -> dict[int, FrameFacts]:
        """Return path, time and category of frames, by number."""
        with self._of_file() as connection:
            return embeddings.facts(connection, frame_ids)

    def candidates_before(self, frame_id: int | None, count: int) -> list[Candidate]:
        """Return up to ``count`` frames before a frame as targets see them, ``None``: the last ones; the oldest first."""
        with self._of_file() as connection:
            return candidates.last(connection, frame_id or candidates.BEYOND_ALL, count)

    def newest_id(self) -> int:
        """Return the highest number of a row, 0 in an empty ledger."""
        with self._snapshot() as connection:
            return connection.scalar(select(func.max(frames.c.id))) or 0

    def newest_ids(self) -> dict[int, int]:
        """Return the highest number of each ledger of a server, by the ledger's number; those without a row are left out."""
        if isinstance(self._asked, FileToAsk):
            raise LedgerError("a ledger's file has numbers of its own only: ask for `newest_id`")
        with self._snapshot() as connection:
            return self._asked.newest_ids(connection)

    def image_size(self, frame_id: int) -> tuple[int, int] | None:
        """Return width and height of a frame in pixels, ``None`` for a file that was never read as one."""
        question = select(frames.c.width, frames.c.height).where(frames.c.id == frame_id)
        with self._snapshot() as connection:
            row = connection.execute(question).one_or_none()
        return None if row is None or row.width is None else (row.width, row.height)

    def targets(self) -> tuple[str, ...]:
        """Return the names of all targets ever met, in order."""
        with self._snapshot() as connection:
            return tuple(connection.scalars(select(matches.c.target).distinct().order_by(matches.c.target)))

    def sessions(self, latest: int | None = None) -> tuple[SessionRow, ...]:
        """Return all sessions or so many of the latest, the one that was last recorded into first."""
        with self._snapshot() as connection:
            return session_rows.sessions_of(connection, latest=latest)

    def session(self, which: str, asked_at: datetime | None = None) -> tuple[SessionRow, ...]:
        """Return the sessions with this name or number, or the ``last``; none if there is none."""
        with self._snapshot() as connection:
            return session_rows.sessions_of(connection, which, asked_at=asked_at)

    def open_sessions(self) -> tuple[tuple[int, str], ...]:
        """Return number and name of the sessions that a command opened and none ended, the newest first."""
        with self._snapshot() as connection:
            return session_rows.open_sessions(connection)

    def notes(self, *, frame_id: int | None = None, session_id: int | None = None) -> list[NoteRow]:
        """Return the notes of a frame or a session, the oldest first."""
        with self._snapshot() as connection:
            return session_rows.notes_of(connection, frame_id=frame_id, session_id=session_id)
