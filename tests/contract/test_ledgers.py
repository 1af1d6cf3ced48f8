"""The same rows give the same answers, from a ledger's file and from a server that it was handed over to."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from emwatch.errors import LedgerError, QuestionError
from emwatch.frame import FrameState, Window
from emwatch.ledger.filters import LogFilter
from emwatch.ledger.query import LedgerReader
from emwatch.ledger.server.connect import Server
from emwatch.ledger.server.handover import Handover
from emwatch.ledger.server.tables import NUMBERS, SPAN
from emwatch.ledger.stats import GROUPS
from emwatch.ledger.writer import Ledger
from emwatch.session_rules import SessionRules
from emwatch.testing import NOON
from tests.recorded import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres

#: They need PostgreSQL, which `.ci/run` installs before the slow tests.
pytestmark = pytest.mark.slow

ALL: Final = tuple(FrameState)


@pytest.fixture(name="readers", scope="module")
def _readers(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres
) -> Iterator[tuple[LedgerReader, LedgerReader]]:
    """The same ledger: its file, and the server, where another ledger is number 1 with nothing in it but one frame."""
    folder = tmp_path_factory.mktemp("ledgers")
    server = Server(postgres.database(), lambda: postgres.PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")  # half an hour beside the others
        time.tzset()
        with Ledger(folder / "ledger.sqlite", sessions=SessionRules(timedelta(hours=2))) as ledger:
            record(ledger)
            handover = Handover(ledger, server)
            while handover.hand_over(NOON):
                pass
            with LedgerReader(ledger.path) as file, LedgerReader(server) as there:
                yield file, there
    time.tzset()


def number(value: int | None) -> int | None:
    """The number of a row on the server, as in the ledger."""
    return None if value is None else value % SPAN


def here(row: Any) -> Any:
    """A row of the server with the numbers of the ledger."""
    names = NUMBERS & set(type(row).__slots__)
    return replace(row, **{name: number(getattr(row, name)) for name in names})


WINDOWS = {
    name: Window(low, high)
    for name, low, high in (
        ("magnification", 2000.0, 9000.0),
        ("stage_x_mm", 0.3, None),
        ("stage_y_mm", None, -1.0),
        ("working_distance_mm", 0.1 + 0.2 * 3, 2.0),
        ("probability", 0.6, None),
        ("margin", None, 0.1),
        ("novelty", 0.0, 0.8),
    )
}
FILTERS: Final = [
    {},
    {"states": ALL},
    {"states": (FrameState.FAILED,)},
    {"states": ALL, "superseded": True},
    {"duplicates": False},
    {"categories": ("Tips", "Nanowires")},
    {"uncertain": True},
    {"target": "wanted"},
    {"hits": False},
    {"hits": True, "uncertain": False, "magnification": Window(1000.0, None)},
    {"reviewed": True},
    {"reviewed": False},
    {"alerted": True},
    {"alerted": False},
    {"since": NOON + timedelta(hours=3)},
    {"until": NOON + timedelta(hours=3), "newest_first": False},
    {"session": "Wafer 7"},
    {"session": "last"},
    *({name: window} for name, window in WINDOWS.items()),
    {"limit": 4},
    {"limit": 4, "sort": ("-magnification",)},
    {"sort": ("path",)},
    {"sort": ("category", "-probability")},
    {"sort": ("novelty", "-path")},
    *({"instrument": glob} for glob in ("quanta ?", "Quanta 1", "*2")),
    *({"operator": glob} for glob in ("ANA", "c*", "?o")),
    {"sample": "w?"},
    *({"detector": glob} for glob in ("etd", "etd_?", "*LENS")),
    *(
        {"path": glob}
        for glob in (
            *("*.tif", "*.TIF", "scan[1].tif", "scan[0-9].tif", "scan[!2].tif", "/acq/Ana/*", "*müller*", "*MÜLLER*"),
            *(
                "*größe.tif",
                "50%*",
                "back\\*",
                "*_done*",
                "it's.tif",
                '"quoted".tif',
                "?.tif",
                "é*",
                "x.y-z.tif",
                "*(copy)*",
            ),
        )
    ),
    *(
        {"text": words}
        for words in (
            *(
                "wafer",
                "WAFER 7",
                '"wafer 7"',
                '"7 wafer"',
                "waf*",
                '"grain boundary"',
                "grain twice",
                "muller",
                "müller*",
            ),
            *("grosse", "größe", "vacuum", "Chen", "w7", "nothing", "it's", "AND", "etd", "x.y-z"),
        )
    ),
    *(
        {"where": sql}
        for sql in (
            *("magnification > 3000 AND category = 'Tips'", "path LIKE '%50\\%%' ESCAPE '\\'", "reviewed IS NOT NULL"),
            *("notes LIKE '%note%' OR targets = 'wanted'", "session = 'Wafer 7'", "id % 2 = 0"),
            *("recorded_at < '2026-03-01T14:00'", "notes LIKE '%:%' OR path LIKE '%é%'"),
        )
    ),
]


@pytest.mark.parametrize("asked", FILTERS, ids=str)
def test_a_filter_finds_the_same_rows(readers: tuple[LedgerReader, LedgerReader], asked: dict[str, Any]) -> None:
    file, server = readers
    wanted = LogFilter(asked_at=NOON + timedelta(days=2), **asked)
    rows = list(file.rows(wanted))
    assert [here(row) for row in server.rows(wanted)] == rows
    assert server.count(wanted) == file.count(wanted) == len(rows)


@pytest.mark.parametrize("asked", FILTERS[::5], ids=str)
def test_what_else_is_known_of_a_selection_is_the_same(
    readers: tuple[LedgerReader, LedgerReader], asked: dict[str, Any]
) -> None:
    file, server = readers
    wanted = LogFilter(asked_at=NOON + timedelta(days=2), **asked)
    first = replace(wanted, limit=3)
    assert [here(row) for row in server.rows(first)] == list(file.rows(first))
    assert [here(each) for each in server.positions(wanted)] == file.positions(wanted)
    assert [here(each) for each in server.deliveries(wanted)] == file.deliveries(wanted)
    assert server.models_used(wanted) == file.models_used(wanted)
    reviews = [(number(each.id), each.frame_id, each.note, each.counts) for each in file.reviews(wanted)]
    assert [
        (number(each.id), number(each.frame_id), each.note, each.counts) for each in server.reviews(wanted)
    ] == reviews


def test_filters_by_number(readers: tuple[LedgerReader, LedgerReader]) -> None:
    file, server = readers
    for asked in (
        {"ids": (2, 3)},
        {"after_id": 10},
        {"after_id": 4, "up_to_id": 9},
        {"up_to_id": 9},
        {"before": (NOON + timedelta(hours=3), 5)},
        {"session": "1"},
    ):
        there = dict(asked)
        if "ids" in there:
            there["ids"] = tuple(SPAN + each for each in there["ids"])
        for name in {"after_id", "up_to_id"} & set(there):
            there[name] += SPAN
        if "before" in there:
            there["before"] = (there["before"][0], SPAN + there["before"][1])
        if "session" in there:
            there["session"] = str(SPAN + 1)
        rows = list(file.rows(LogFilter(**asked)))
        assert rows
        assert [here(row) for row in server.rows(LogFilter(**there))] == rows


@pytest.mark.parametrize("by", [*((name,) for name in GROUPS), ("day", "category"), ("operator", "hour", "uncertain")])
def test_the_same_statistics(readers: tuple[LedgerReader, LedgerReader], by: tuple[str, ...]) -> None:
    file, server = readers
    wanted = LogFilter(states=ALL)
    found, expected = server.stats(wanted, by), file.stats(wanted, by)
    assert [each.keys for each in found] == [each.keys for each in expected]
    assert [replace(each, probability=None) for each in found] == [replace(each, probability=None) for each in expected]
    assert [each.probability for each in found] == pytest.approx([each.probability for each in expected])


def test_the_same_sessions_notes_and_single_frames(readers: tuple[LedgerReader, LedgerReader]) -> None:
    file, server = readers
    assert [here(each) for each in server.sessions()] == list(file.sessions())
    assert [here(each) for each in server.sessions(1)] == list(file.sessions(1))
    assert [here(each) for each in server.session("last", NOON)] == list(file.session("last", NOON))
    assert server.open_sessions() == file.open_sessions()
    assert [here(each) for each in server.notes(session_id=SPAN + 1)] == file.notes(session_id=1)
    assert server.targets() == file.targets()
    assert number(server.newest_id()) == file.newest_id()
    assert server.newest_ids() == {1: server.newest_id()}
    for frame in range(1, file.newest_id() + 1):
        assert [here(each) for each in server.notes(frame_id=SPAN + frame)] == file.notes(frame_id=frame)
        assert server.metadata(SPAN + frame) == file.metadata(frame)
        assert server.scores(SPAN + frame) == file.scores(frame)
        assert server.image_size(SPAN + frame) == file.image_size(frame)
        alerts = [here(each) for each in server.alerts(frame_id=SPAN + frame, limit=9)]
        assert alerts == file.alerts(frame_id=frame, limit=9)


def test_the_same_values_for_tables_and_programs(readers: tuple[LedgerReader, LedgerReader]) -> None:
    file, server = readers
    names = ("path", "recorded_at", "uncertain", "scores", "targets", "magnification", "notes", "tilt_correction")
    wanted = LogFilter(states=ALL)
    assert [tuple(row) for row in server.stored(wanted, names)] == [tuple(row) for row in file.stored(wanted, names)]


@pytest.mark.parametrize(
    "where",
    [
        *("no_such_column = 1", "1 = 1)); DELETE FROM frames; SELECT ((1", "1 = 1; DROP TABLE frames", "", "("),
        *("id IN (DELETE FROM frames RETURNING id)", "1 = 1)) --", "'"),
    ],
)
def test_sql_that_is_no_question_is_refused(readers: tuple[LedgerReader, LedgerReader], where: str) -> None:
    for reader in readers:
        before = reader.count()
        with pytest.raises(QuestionError, match="columns of v_log: id, path"):
            list(reader.rows(LogFilter(where=where)))
        assert reader.count() == before > 0


def test_what_a_server_is_not_asked(readers: tuple[LedgerReader, LedgerReader], tmp_path: Path) -> None:
    _, server = readers
    for ask in (
        lambda: server.embedding(1, "s"),
        lambda: server.candidates_before(None, 3),
        lambda: server.accounts(tmp_path, ["a"]),
    ):
        with pytest.raises(LedgerError, match="the ledger's file"):
            ask()
