"""
The tables of the server, made from those of a ledger.

A row of a ledger has on the server the number ``ledger * SPAN + number``, and so has everything that names it. Links and
uniqueness within a ledger are kept by the ledger itself: there, a batch may end between two rows that belong together.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.schema import CreateColumn

from emwatch.ledger import schema
from emwatch.ledger.care.check import view_texts
from emwatch.ledger.column_types import BareText, Document, Instant, PlainText, Whole

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

#: No ledger has as many rows in a table.
SPAN: Final = 1_000_000_000
#: Columns that hold numbers of rows.
NUMBERS: Final = frozenset(
    ("id", "frame_id", "session_id", "supersedes", "superseded_by", "duplicate_of", "replaced_by", "rowid")
)
#: Named by their content: the same for every ledger.
SHARED: Final = ("bundles", "embedding_spaces")
#: Everything of a frame but its own row.
OF_FRAMES: Final = ("metadata", "predictions", "embeddings", "reviews", "notes", "matches", "alerts", "log_search")
#: Texts of people and of file systems: a B-tree takes 2,704 bytes at most, and refuses the row, with all of its batch.
_OF_ANY_LENGTH: Final = frozenset(("path", "name", "folder", "written_by", "reviewed_by"))
_VIEWS: Final = ("v_log", "v_hits", "v_sessions")
#: Parallel starts of many daemons make the tables once.
_LOCK: Final = 0x656D7761

server_tables = MetaData()

#: Of which emwatch the tables are: the revision of the ledgers that they hold.
made_by = Table("emwatch_server", server_tables, Column("revision", Text, nullable=False))

ledgers = Table(
    "ledgers",
    server_tables,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("identity", Text, nullable=False, unique=True),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    # Ledgers of which this one goes on: begun anew, restored, copied.
    Column("follows", ARRAY(BigInteger), nullable=False),
    Column("run", Text),
    Column("batches", BigInteger, nullable=False, server_default="0"),
    Column("first_at", Text, nullable=False),
    Column("last_at", Text, nullable=False),
)


def _there(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type of a column on the server, which takes values as a ledger's file stores them."""
    return BareText if isinstance(kind, (Instant, PlainText, Document)) else kind


def _of_frame(name: str) -> tuple[ForeignKey, ...]:
    return (ForeignKey("frames.id", ondelete="CASCADE"),) if name == "frame_id" else ()


def _copied(table: Table) -> Table:
    columns = [
        Column(
            each.name,
            _there(each.type),
            *_of_frame(each.name),
            primary_key=each.primary_key,
            nullable=each.nullable,
            autoincrement=False,
        )
        for each in table.columns
    ]
    if table.name in {"frames", "sessions"}:
        columns.append(Column("ledger", BigInteger, Computed(f"id / {SPAN}", persisted=True)))
    made = Table(table.name, server_tables, *columns)
    indexed = {tuple(column.name for column in each.columns if column.name != "is_indexed") for each in table.indexes}
    indexed |= {
        tuple(column.name for column in each.columns)
        for each in table.constraints
        if isinstance(each, UniqueConstraint)
    }
    if "frame_id" in made.columns and made.name not in {"metadata", "log_search"}:
        indexed.add(("frame_id",))
    for names in sorted({_short_enough(each) for each in indexed - {()}}):
        how = "hash" if names[0] in _OF_ANY_LENGTH else "btree"
        Index(f"ix_{made.name}_{'_'.join(names)}", *(made.c[name] for name in names), postgresql_using=how)
    return made


def _short_enough(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of an index up to the first text of any length; of such a text alone, a hash is indexed."""
    return tuple(takewhile(lambda name: name not in _OF_ANY_LENGTH, names)) or names[:1]


_copies: Final = {name: _copied(schema.tables.tables[name]) for name in ("sessions", *SHARED, "frames", *OF_FRAMES)}


def _words(name: str, of: str) -> Table:
    made = Table(
        name,
        server_tables,
        Column("rowid", Whole, ForeignKey(f"{of}.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        Column("words", TSVECTOR, nullable=False),
    )
    Index(f"ix_{name}_words", made.c.words, postgresql_using="gin")
    return made


words: Final = _words("log_text", "frames")
session_words: Final = _words("log_text_sessions", "sessions")


def there(name: str) -> Table:
    """Return the table of the server for a table of a ledger."""
    return _copies[name]


def revision_there(connection: Connection) -> str | None:
    """Return of which revision the tables of a server are, ``None`` if there are none."""
    if connection.scalar(select(func.to_regclass(literal_column(f"'{made_by.name}'")))) is None:
        return None
    return connection.scalar(select(made_by.c.revision))


def tables_of_others(connection: Connection) -> list[str]:
    """Return which tables of a database have names of ours though no emwatch made any there."""
    names = set(inspect(connection).get_table_names())
    return [] if made_by.name in names else sorted(names & set(server_tables.tables))


def make_tables(connection: Connection) -> None:
    """Make the tables and views, or add what an older emwatch did not have; within a transaction, for one at a time."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    found = revision_there(connection)
    if found is not None and found >= schema.REVISION:
        return
    server_tables.create_all(connection)
    inspector = inspect(connection)
    for table in server_tables.sorted_tables:
        names = {each["name"] for each in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in names:
                column.nullable = True  # rows that are there get their value with the next handover
                text = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {text}")
    for statement in _views():
        connection.exec_driver_sql(statement)
    connection.execute(made_by.delete())
    connection.execute(made_by.insert().values(revision=schema.REVISION))


def _views() -> list[str]:
    """Return what makes the views: those of a ledger, as PostgreSQL writes them, and an index that is never behind."""
    made = view_texts()
    texts = [f"DROP VIEW IF EXISTS {', '.join(_VIEWS)}, log_text_new"]
    for name in _VIEWS:
        text = made[name].replace("newest = 1", "newest")
        text = text.replace("group_concat(text, char(10))", "string_agg(text, chr(10) ORDER BY written_at, id)")
        texts.append(re.sub(r"group_concat\((.*?), ', '\)", r"string_agg(\1, ', ' ORDER BY id)", text))
    return [*texts, "CREATE VIEW log_text_new AS SELECT * FROM log_text WHERE false"]
