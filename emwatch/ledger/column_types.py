"""How numbers, times, free text and small documents are written into the ledger's columns, in SQLite and PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import REAL as _SHORT_REAL
from sqlalchemy import BigInteger, Double, Integer, Text
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

#: A whole number of up to 64 bits, and a number with 53 significant ones: SQLite has no shorter ones.
Whole: Final = Integer().with_variant(BigInteger(), "postgresql")
REAL: Final[TypeEngine[float]] = _SHORT_REAL().with_variant(Double(), "postgresql")
#: Compared byte by byte, as SQLite does: texts have the same order, and only A to Z have another case.
BareText: Final = Text().with_variant(Text(collation="C"), "postgresql")


def plain(text: str) -> str:
    """Make any text storable as UTF-8: lone surrogates and NUL bytes become escapes; all else stays as it is."""
    if "\0" in text:
        text = text.replace("\0", "\\0")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def instant(moment: datetime) -> str:
    """Write a time as ISO 8601 in UTC, always 32 characters, so that the order of texts is the order of times."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: the ledger keeps only times that mean one moment")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment_of_ns(nanoseconds: int) -> datetime | None:
    """Return the time of a file's mtime_ns; ``None`` for a year that a calendar does not hold."""
    try:
        moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None
    return moment if 2 < moment.year < 9998 else None


class Instant(TypeDecorator[datetime]):
    """A moment, as text that people can read and that sorts (see `instant`)."""

    impl = BareText
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base class's signature
        """Write."""
        return None if value is None else instant(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class's signature
        """Read."""
        return None if value is None else datetime.fromisoformat(value)


class PlainText(TypeDecorator[str]):
    """Text from outside: file names, sentences of the operating system, what an instrument wrote."""

    impl = BareText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base class's signature
        """Write."""
        return None if value is None else plain(value)


class Document(TypeDecorator[Any]):
    """A small JSON document; NaN is refused, since SQLite's JSON functions could not read it back."""

    impl = BareText
    cache_ok = True

    def __init__(self, *, none_as_null: bool = False) -> None:
        super().__init__()
        self.none_as_null = none_as_null

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002 - the base class's signature
        """Write."""
        if value is None and self.none_as_null:
            return None
        return plain(_ENCODER.encode(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - the base class's signature
        """Read."""
        return None if value is None else json.loads(value)
