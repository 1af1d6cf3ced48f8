"""
The tables of the ledger as they are now; `emwatch.ledger.migrations` brings older files here.

Plain SQLite of 2018 (no STRICT, no RETURNING), so that it also runs on the libraries of long-lived distributions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)

from emwatch.frame import BAR_FIELDS, FIELDS, FieldKind, FrameState, ReviewVerdict
from emwatch.ledger.column_types import REAL, Document, Instant, PlainText, Whole

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

#: The newest migration; four digits, so that a later one is also a greater text.
REVISION: Final = "0011"

#: Marks the file as ours (``PRAGMA application_id``): "emwa".
APPLICATION_ID: Final = 0x656D7761

tables = MetaData()

_CURRENT = "superseded_by IS NULL"


def _one_of(column: str, *words: str) -> CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})")


def _frame(*, unique: bool = False, primary_key: bool = False) -> Column[int]:
    return Column(
        "frame_id", Whole, ForeignKey("frames.id"), nullable=False, unique=unique or None, primary_key=primary_key
    )


roots = Table(
    "roots",
    tables,
    Column("path", PlainText, primary_key=True),
    Column("baseline_at", Instant, nullable=False),
)

#: Damaged ledgers that this one was begun instead of; see `emwatch.ledger.care.replacement`.
replacements = Table(
    "replacements",
    tables,
    Column("set_aside", PlainText, primary_key=True),
    Column("quiet_before", Instant, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("recovered_at", Instant),
)

sessions = Table(
    "sessions",
    tables,
    Column("id", Whole, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Column("opened_by", PlainText, nullable=False, server_default="gap"),
    Column("is_open", Boolean, nullable=False, server_default="0"),  # by command, until a command ends it
    Column("folder", PlainText),
    Column("operator", PlainText),
    Column("instrument", PlainText),
    Column("sample", PlainText),
    Index("ix_sessions_ended_at", "ended_at"),
    Index("ix_sessions_name", "name"),
    Index("ix_sessions_folder", "folder", sqlite_where=text("folder IS NOT NULL")),
    Index("ix_sessions_open", "started_at", sqlite_where=text("is_open = 1")),
    sqlite_autoincrement=True,
)

frames = Table(
    "frames",
    tables,
    Column("id", Whole, primary_key=True),
    Column("path", PlainText, nullable=False),
    Column("sha256", PlainText, nullable=False, server_default=""),
    Column("state", PlainText, _one_of("state", *FrameState), nullable=False),
    Column("code", PlainText, nullable=False, server_default=""),
    Column("reason", PlainText, nullable=False, server_default=""),
    Column("size_bytes", Whole),
    # "size:mtime_ns:ctime_ns:inode" as text: inodes of some shares and file times of some clocks exceed 64 bits.
    Column("stat_key", PlainText),
    Column("image_format", PlainText),
    Column("width", Whole),
    Column("height", Whole),
    Column("pixel_type", PlainText),
    Column("pages", Whole),
    Column("first_seen_at", Instant, nullable=False),
    Column("recorded_at", Instant, nullable=False),
    Column("file_modified_at", Instant),
    Column("attempts", Whole, nullable=False, server_default="1"),
    Column("retry_at", Instant),
    Column("supersedes", Whole, ForeignKey("frames.id")),
    Column("superseded_by", Whole, ForeignKey("frames.id")),
    Column("duplicate_of", Whole, ForeignKey("frames.id")),
    Column("session_id", Whole, ForeignKey("sessions.id")),
    Column("instrument_id", PlainText, nullable=False, server_default=""),
    UniqueConstraint("path", "sha256"),
    Index("ux_frames_current_path", "path", unique=True, sqlite_where=text(_CURRENT)),
    Index("ix_frames_sha256", "sha256", sqlite_where=text("sha256 <> ''")),
    Index("ix_frames_state", "state", "recorded_at", sqlite_where=text(_CURRENT)),
    Index("ix_frames_recorded_at", "recorded_at"),
    Index("ix_frames_session_id", "session_id", sqlite_where=text("session_id IS NOT NULL")),
    Index("ix_frames_file_modified_at", "file_modified_at"),
    Index("ix_frames_supersedes", "supersedes", sqlite_where=text("supersedes IS NOT NULL")),
    Index("ix_frames_superseded_by", "superseded_by", sqlite_where=text("superseded_by IS NOT NULL")),
    Index("ix_frames_duplicate_of", "duplicate_of", sqlite_where=text("duplicate_of IS NOT NULL")),
    sqlite_autoincrement=True,
)

#: The bar was not tried yet, and is worth it. A query must repeat this text to use the index.
BAR_UNREAD: Final = f"bar_read_at IS NULL AND ({' OR '.join(f'{name} IS NULL' for name in BAR_FIELDS)})"

_COLUMN_TYPES: dict[FieldKind, TypeEngine[Any] | type[TypeEngine[Any]]] = {
    FieldKind.NUMBER: REAL,
    FieldKind.TEXT: PlainText,
    FieldKind.FLAG: Boolean,
    FieldKind.TIME: PlainText,
}

acquisition = Table(
    "metadata",
    tables,
    _frame(primary_key=True),
    Column("vendor", PlainText),
    *(Column(each.name, _COLUMN_TYPES[each.kind]) for each in FIELDS.values()),
    Column("flags", Document, nullable=False),
    Column("readings", Document, nullable=False),
    # The text file beside the frame that was read: name, sha256, size and time; NULL if none was, or it is not known.
    Column("sidecar", Document(none_as_null=True)),
    Column("sidecar_cut", Boolean, nullable=False, server_default="0"),
    # When the frame's data bar was tried, also if it showed nothing; with new metadata it is tried again.
    Column("bar_read_at", Instant),
    Index("ix_metadata_bar_unread", "frame_id", sqlite_where=text(BAR_UNREAD)),
)

bundles = Table(
    "bundles",
    tables,
    Column("sha256", PlainText, primary_key=True),
    Column("name", PlainText, nullable=False, server_default=""),
    Column("first_used_at", Instant, nullable=False),
)

predictions = Table(
    "predictions",
    tables,
    Column("id", Whole, primary_key=True),
    _frame(),
    Column("bundle_sha256", PlainText, ForeignKey("bundles.sha256"), nullable=False),
    Column("category", PlainText, nullable=False),
    Column("probability", REAL, nullable=False),
    Column("margin", REAL, nullable=False),
    Column("uncertain", Boolean, nullable=False),
    Column("novelty", REAL),
    Column("scores", Document, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("newest", Boolean, nullable=False, server_default="1"),
    UniqueConstraint("frame_id", "bundle_sha256"),
    Index("ux_predictions_newest", "frame_id", unique=True, sqlite_where=text("newest = 1")),
)

#: The spaces of embeddings; only those of one space can be compared.
embedding_spaces = Table(
    "embedding_spaces",
    tables,
    Column("sha256", PlainText, primary_key=True),
    Column("backbone_sha256", PlainText, nullable=False),
    Column("projection_sha256", PlainText, nullable=False),
    Column("width", Whole, nullable=False),
)

#: What frames look like to a backbone: ``width`` signed 8-bit integers each.
embeddings = Table(
    "embeddings",
    tables,
    Column("id", Whole, primary_key=True),
    _frame(),
    Column("space_sha256", PlainText, ForeignKey("embedding_spaces.sha256"), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    UniqueConstraint("frame_id", "space_sha256"),
)

#: What people say of frames; see `emwatch.ledger.reviews`.
reviews = Table(
    "reviews",
    tables,
    Column("id", Whole, primary_key=True),
    _frame(),
    Column("verdict", PlainText, _one_of("verdict", *ReviewVerdict), nullable=False),
    Column("category", PlainText),
    Column("reviewed_by", PlainText, nullable=False),
    Column("reviewed_at", Instant, nullable=False),
    Column("note", PlainText, nullable=False, server_default=""),
    UniqueConstraint("frame_id", "reviewed_at", "reviewed_by"),
    CheckConstraint("(category IS NOT NULL) = (verdict IN ('confirm', 'relabel'))"),
)

#: What people write about a frame or a session. A row is added and stays: a change is a new row that the old one names
#: in ``replaced_by``, and one without text takes the old one back.
notes = Table(
    "notes",
    tables,
    Column("id", Whole, primary_key=True),
    Column("frame_id", Whole, ForeignKey("frames.id")),
    Column("session_id", Whole, ForeignKey("sessions.id")),
    Column("text", PlainText, nullable=False),
    Column("written_by", PlainText, nullable=False),
    Column("written_at", Instant, nullable=False),
    Column("replaced_by", Whole, ForeignKey("notes.id")),
    CheckConstraint("(frame_id IS NULL) <> (session_id IS NULL)"),
    *(
        Index(
            f"ux_notes_{of}",
            *(f"{of}_id", "written_at", "written_by"),
            unique=True,
            sqlite_where=text(f"{of}_id IS NOT NULL"),
        )
        for of in ("frame", "session")
    ),
    Index("ix_notes_replaced_by", "replaced_by", sqlite_where=text("replaced_by IS NOT NULL")),
    sqlite_autoincrement=True,
)

matches = Table(
    "matches",
    tables,
    Column("id", Whole, primary_key=True),
    _frame(),
    Column("target", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("made_at", Instant, nullable=False),
    UniqueConstraint("frame_id", "target"),
    Index("ix_matches_target", "target", "frame_id"),
)

alerts = Table(
    "alerts",
    tables,
    Column("id", Whole, primary_key=True),
    Column("key", PlainText, nullable=False, unique=True),
    _frame(),
    Column("channel", PlainText, nullable=False),
    Column("target", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("state", PlainText, _one_of("state", "pending", "delivered", "dead"), nullable=False),
    Column("attempts", Whole, nullable=False, server_default="0"),
    Column("next_try_at", Instant, nullable=False),
    Column("last_error", PlainText, nullable=False, server_default=""),
    Column("created_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    # Why it is held back or was, "" if it never was; see `emwatch.alerts.policy`.
    Column("held", PlainText, nullable=False, server_default=""),
    # The key of the telling that it is part of, "" if it is told alone.
    Column("digest", PlainText, nullable=False, server_default=""),
    # When it is passed on unless somebody acknowledges it; NULL if never, or if that was done.
    Column("escalate_at", Instant),
    Column("escalation", Boolean, nullable=False, server_default="0"),
    Column("acknowledged_at", Instant),
    Index("ix_alerts_pending", "channel", "id", sqlite_where=text("state = 'pending'")),
    Index("ix_alerts_frame_id", "frame_id"),
    Index("ix_alerts_delivered", "channel", "delivered_at", sqlite_where=text("state = 'delivered'")),
    Index("ix_alerts_digest", "digest", sqlite_where=text("digest <> ''")),
    Index("ix_alerts_escalate_at", "escalate_at", sqlite_where=text("escalate_at IS NOT NULL")),
    sqlite_autoincrement=True,
)

#: Until when alerts are held, and since when; the target "" stands for every target.
snoozes = Table(
    "snoozes",
    tables,
    Column("target", PlainText, primary_key=True),
    Column("until", Instant, nullable=False),
    Column("given_at", Instant),
)

_SEARCHED: Final[dict[str, TypeEngine[Any] | type[TypeEngine[Any]]]] = {
    "session_id": Whole,
    "category": PlainText,
    **dict.fromkeys(("probability", "margin", "novelty"), REAL),
    **dict.fromkeys(
        (
            *("magnification", "stage_tilt_deg", "working_distance_mm", "accelerating_voltage_kv", "pixel_size_nm"),
            *("horizontal_field_width_um", "stage_x_mm", "stage_y_mm"),
        ),
        REAL,
    ),
}

#: The numbers that frames are asked for, by time of recording; triggers keep it (see the migration that made it).
search = Table(
    "log_search",
    tables,
    Column("at_us", Whole, primary_key=True, autoincrement=False),  # recorded_at, microseconds since 1970
    Column("frame_id", Whole, primary_key=True, autoincrement=False),
    Column("state", PlainText, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("is_copy", Boolean, nullable=False),
    Column("is_indexed", Boolean, nullable=False),  # else in none of the partial indexes below, nor in `words`
    Column("uncertain", Boolean),
    *(Column(name, kind) for name, kind in _SEARCHED.items()),
    Index("ix_log_search_frame_id", "frame_id"),
    Index("ix_log_search_new", "frame_id", sqlite_where=text("is_indexed = 0")),
    Index("ix_log_search_state", "state", sqlite_where=text("state <> 'recorded'")),
    *(
        Index(f"ix_log_search_{name}", name, "is_indexed", sqlite_where=text(f"is_indexed = 1 AND {name} IS NOT NULL"))
        for name in _SEARCHED
    ),
    sqlite_with_rowid=False,
)

#: The full-text index (FTS5): one row for a frame, ``rowid`` is its number. Use it by `emwatch.ledger.full_text`.
words = table("log_text", column("rowid", Whole), column("log_text", Text))

#: The same of the newest frames, which are not in it yet; each reader makes its own.
new_words = table("log_text_new", column("rowid", Whole), column("log_text_new", Text))

#: The same for sessions: name, operator, instrument, sample and notes.
session_words = table("log_text_sessions", column("rowid", Whole), column("log_text_sessions", Text))
