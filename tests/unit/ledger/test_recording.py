"""The rules of recording, one by one, and all together against a model."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emwatch.errors import LedgerError
from emwatch.frame import FIELDS, AcquisitionMetadata, FrameState, Outcome, Reading, StatKey, path_to_text
from emwatch.ledger.query import LedgerReader, LogFilter
from emwatch.ledger.writer import Known, Ledger, Recorded
from tests.counts import Counts, counts

if TYPE_CHECKING:
    from collections.abc import Callable

EVERYTHING = LogFilter(states=tuple(FrameState), superseded=True, newest_first=False)

A = Path("/acq/a.tif")


def rows(ledger: Ledger, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


def test_a_new_frame_is_one_row_with_metadata_prediction_matches_and_alerts(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    outcome = frame_of(targets=("sharp", "tall"), channels=("terminal", "lamp"), numbers={"magnification": 5000.0})

    assert Recorded(1, new=True, duplicate_of=None, alerts=4) == ledger.record(outcome, noon)
    counts = {
        table: rows(ledger, f"SELECT count(*) FROM {table}")[0][0]
        for table in ("frames", "metadata", "predictions", "matches", "alerts", "bundles", "sessions")
    }
    assert counts == {
        "frames": 1, "metadata": 1, "predictions": 1, "matches": 2, "alerts": 4, "bundles": 1, "sessions": 1,
    }  # fmt: skip
    assert rows(ledger, "SELECT magnification, stage_tilt_deg FROM metadata") == [(5000.0, None)]


def test_the_same_content_again_refreshes_the_stat_key_and_nothing_else(
    ledger: Ledger, frame_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    ledger.record(frame_of(targets=("t",)), noon)
    touched = key_of(inode=99)
    later = noon + timedelta(hours=1)

    assert Recorded(1, new=False, duplicate_of=None, alerts=0) == ledger.record(
        frame_of(targets=("t", "u"), key=touched), later
    )
    assert {A: Known(touched, FrameState.RECORDED, None)} == ledger.known_files([A])
    assert rows(ledger, "SELECT (SELECT count(*) FROM alerts), (SELECT count(*) FROM matches)") == [(1, 1)]
    assert rows(ledger, "SELECT recorded_at, attempts FROM frames") == [("2026-03-01T12:00:00.000000+00:00", 1)]


@pytest.mark.parametrize("state", [FrameState.FAILED, FrameState.SKIPPED])
def test_a_file_that_was_not_recorded_keeps_its_one_row_when_it_is(
    ledger: Ledger,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    noon: datetime,
    state: FrameState,
) -> None:
    first = ledger.record(failure_of(state=state, retry_after_s=10.0), noon)
    again = ledger.record(failure_of(state=state, retry_after_s=10.0), noon + timedelta(seconds=10))
    good = ledger.record(frame_of(targets=("t",)), noon + timedelta(seconds=20))

    assert [(r.frame_id, r.new, r.alerts) for r in (first, again, good)] == [(1, True, 0), (1, False, 0), (1, True, 1)]
    assert rows(ledger, "SELECT state, code, reason, attempts, retry_at, first_seen_at FROM frames") == [
        ("recorded", "", "", 3, None, "2026-03-01T12:00:00.000000+00:00")
    ]


def test_the_delay_before_a_retry_doubles_up_to_an_hour_and_starts_again_after_a_success(
    ledger: Ledger, failure_of: Callable[..., Outcome], frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    def fail(now: datetime) -> float:
        ledger.record(failure_of(code="read-failed", retry_after_s=10.0), now)
        retry_at = ledger.known_files([A])[A].retry_at
        assert retry_at is not None
        return (retry_at - now).total_seconds()

    assert [fail(noon) for _ in range(5)] == [10.0, 20.0, 40.0, 80.0, 160.0]
    assert [fail(noon) for _ in range(20)][-1] == 3600.0

    ledger.record(frame_of(), noon)

    assert fail(noon) == 10.0


def test_a_retry_is_noted_with_its_time(ledger: Ledger, failure_of: Callable[..., Outcome], noon: datetime) -> None:
    ledger.record(failure_of(code="denied", retry_after_s=10.0), noon)

    assert noon + timedelta(seconds=10) == ledger.known_files([A])[A].retry_at


def test_another_content_is_a_new_row_that_supersedes_the_old_one(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(content="A", targets=("t",)), noon)
    second = ledger.record(frame_of(content="B", targets=("t",)), noon)

    assert Recorded(2, new=True, duplicate_of=None, alerts=1) == second
    assert rows(ledger, "SELECT id, supersedes, superseded_by FROM frames ORDER BY id") == [(1, None, 2), (2, 1, None)]


def test_an_earlier_content_that_comes_back_is_current_again_without_an_alert(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for content in "ABC":
        ledger.record(frame_of(content=content, targets=("t",)), noon)

    assert Recorded(2, new=False, duplicate_of=None, alerts=0) == ledger.record(frame_of(content="B"), noon)
    chain = rows(ledger, "SELECT id, supersedes, superseded_by FROM frames ORDER BY id")
    assert chain == [(1, None, 3), (2, 3, None), (3, 1, 2)]


def test_a_frame_overwritten_by_a_damaged_one_is_superseded_and_recovers_in_the_failed_row(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of(content="A"), noon)
    failed = ledger.record(failure_of(content="half"), noon)
    whole = ledger.record(frame_of(content="whole", targets=("t",)), noon)

    assert [(each.frame_id, each.alerts) for each in (failed, whole)] == [(2, 0), (2, 1)]
    assert rows(ledger, "SELECT id, state, superseded_by FROM frames") == [(1, "recorded", 2), (2, "recorded", None)]


@pytest.mark.parametrize("code", ["denied", "vanished"])
def test_a_file_merely_out_of_reach_never_supersedes_its_frame(
    ledger: Ledger, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime, code: str
) -> None:
    ledger.record(frame_of(), noon)
    out_of_reach = failure_of(code=code, retry_after_s=10.0 if code == "denied" else None)
    if code == "vanished":
        out_of_reach = replace(out_of_reach, stat_key=None)

    assert Recorded(1, new=False) == ledger.record(out_of_reach, noon)
    assert rows(ledger, "SELECT state FROM frames") == [("recorded",)]


def test_a_copy_is_recorded_as_a_duplicate_with_its_matches_but_never_alerted(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    ledger.record(frame_of("/acq/a.tif", targets=("t",)), noon)
    copy = ledger.record(frame_of("/acq/b.tif", targets=("t",)), noon)
    copy_of_copy = ledger.record(frame_of("/acq/c.tif", targets=("t",)), noon)

    assert [Recorded(2, True, 1, 0), Recorded(3, True, 1, 0)] == [copy, copy_of_copy]
    assert rows(
        ledger,
        "SELECT (SELECT count(*) FROM matches), (SELECT count(*) FROM predictions), (SELECT count(*) FROM alerts)",
    ) == [(3, 3, 1)]


def test_the_key_of_an_alert_depends_on_place_content_target_and_channel_only(
    tmp_path: Path, frame_of: Callable[..., Outcome], failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    outcome = frame_of(targets=("t", "u"), channels=("terminal", "lamp"))
    with Ledger(tmp_path / "one.sqlite") as one, Ledger(tmp_path / "two.sqlite") as two:
        one.record(outcome, noon)
        two.record(failure_of("/acq/other.tif"), noon)
        two.record(outcome, noon + timedelta(days=1))
        keys = [[key for (key,) in rows(each, "SELECT key FROM alerts ORDER BY id")] for each in (one, two)]

    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 4


def test_what_an_instrument_writes_comes_back_as_it_was(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    readings = {
        "magnification": Reading(25_000.0, "25.00 K X", "tag 34118 AP_MAG"),
        "detector": Reading("InLens µ", "InLens µ", "tag 34118 DP_DETECTOR_TYPE"),
        "tilt_correction": Reading(True, "On", "tag 34118", computed=True, reason="from two keys"),
        "stage_tilt_deg": Reading(None, "n/a", "tag 34118", reason="not a number"),
        "acquired_at": Reading("2026-03-01T12:00:00", "1 Mar 2026", "tag 34118"),
    }
    metadata = AcquisitionMetadata("zeiss", readings, ("clock far from the file's",))
    outcome = frame_of()
    assert outcome.reading is not None
    ledger.record(replace(outcome, reading=replace(outcome.reading, metadata=metadata)), noon)

    with LedgerReader(ledger.path) as reader:
        assert metadata == reader.metadata(1)
    assert set(FIELDS) <= {row[1] for row in rows(ledger, "PRAGMA table_info(metadata)")}


def test_values_no_column_can_hold_become_unknown_and_do_not_cost_the_frame(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    readings = {
        "magnification": Reading(float("nan"), "nan\0\0", "tag"),
        "stage_x_mm": Reading(float("inf"), "1e999", "tag"),
        "operator": Reading("bad \udcff name" + "x" * 5_000_000, "y" * 5_000_000, "tag"),
        "tilt_correction": Reading("maybe", "maybe", "tag"),
    }
    mad = StatKey(2**62, 2**70, -(2**70), 2**120)
    outcome = frame_of(key=mad)
    assert outcome.reading is not None
    reading = replace(outcome.reading, metadata=AcquisitionMetadata("zeiss", readings))
    ledger.record(replace(outcome, reading=reading, reason="odd \udce9 \0"), noon)

    assert rows(ledger, "SELECT magnification, stage_x_mm, tilt_correction FROM metadata") == [(None, None, None)]
    assert rows(
        ledger, "SELECT json_valid(readings), substr(json_extract(readings, '$.operator.raw'), 1, 1) FROM metadata"
    ) == [(1, "y")]
    assert mad == ledger.known_files([A])[A].stat_key
    assert ledger.path.with_name("ledger.sqlite-wal").stat().st_size < 1_000_000


ODD_NAMES = [
    "-rf",
    "new\nline",
    "\x1b[31m",
    "latin\udce9",
    "back\\slash",
    "\\x41",
    "試料",
    "µ",
    "a'b\"c%?;--",
    "x" * 255,
    " ",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_file_name_is_stored_and_found_again(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, name: str
) -> None:
    outcome = frame_of(f"/acq/{name}", targets=("t",))
    ledger.record(outcome, noon)

    assert [outcome.path] == list(ledger.known_files([outcome.path]))
    assert outcome.path == ledger.due_alerts("terminal", noon)[0].path
    with LedgerReader(ledger.path) as reader:
        assert [outcome.path] == [row.path for row in reader.rows()]
    ((stored,),) = rows(ledger, "SELECT path FROM frames")
    assert path_to_text(outcome.path) == stored


def test_known_gives_the_files_asked_for_as_far_as_there_are_rows(
    ledger: Ledger, key_of: Callable[..., StatKey], noon: datetime
) -> None:
    asked = [Path(f"/acq/{name}") for name in ("a", "b", "z", "sub0", "sub!", "sub.", "ÿ", "sub", "back\\slash")]
    others = [Path(each) for each in ("/acq/sub/1", "/acq/tub/3", "/acq0", "/acq.tif", "/ac", "/acq/Ω/5")]
    ledger.baseline(Path("/"), [(each, key_of()) for each in (*asked, *others)], noon)

    assert set(asked) == set(ledger.known_files([*asked, Path("/acq/unknown"), Path("/nowhere/a")]))
    assert ledger.known_files([]) == {}


def test_known_shows_the_current_row_only(
    ledger: Ledger, frame_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    ledger.record(frame_of(content="A"), noon)
    ledger.record(frame_of(content="B", key=key_of(size=2)), noon)

    assert {A: Known(key_of(size=2), FrameState.RECORDED, None)} == ledger.known_files([A])


ODD = (
    "a.tif",
    "back\\slash",
    'quo"te',
    "new\nline",
    "esc\x1b[0m",
    "latin-\udce9",
    "é",
    "e\u0301",
    "Ω 試料",
    "-rf",
    "\\x41",
    "%s ",
    "\x7f",
    "\U0001f52c",
)


@pytest.mark.parametrize("folder", [Path("/acq"), Path("/"), Path("/acq/back\\slash/latin-\udce9 Ω")])
def test_only_what_is_not_as_recorded_leaves_the_ledger_whatever_it_is_called(
    ledger: Ledger, key_of: Callable[..., StatKey], noon: datetime, folder: Path
) -> None:
    huge = key_of(inode=2**64 - 1)
    ledger.baseline(folder, [(folder / name, huge) for name in ODD], noon)

    assert ledger.unlike(folder, dict.fromkeys(ODD, huge)) == {}
    other = {name: key_of(inode=2) for name in ODD}
    assert ledger.unlike(folder, other) == dict.fromkeys(ODD, Known(huge, FrameState.BASELINE, None))
    assert ledger.unlike(folder / "unknown", other) == dict.fromkeys(ODD)
    assert ledger.unlike(folder, {}) == {}


def test_a_file_that_waits_for_another_try_is_given_although_it_is_unchanged(
    ledger: Ledger, failure_of: Callable[..., Outcome], noon: datetime
) -> None:
    outcome = failure_of(code="denied", retry_after_s=10.0)
    ledger.record(outcome, noon)
    assert outcome.stat_key is not None

    [(name, known)] = ledger.unlike(Path("/acq"), {"a.tif": outcome.stat_key}).items()
    assert (name, known) == ("a.tif", Known(outcome.stat_key, FrameState.FAILED, noon + timedelta(seconds=10)))


def test_a_baseline_is_taken_once_and_keeps_what_is_known(
    ledger: Ledger, frame_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    root = Path("/acq")
    assert (ledger.knows_files_below(Path("/acq")), ledger.baseline_taken(root)) == (False, False)
    ledger.record(frame_of("/acq/a.tif"), noon)
    entries = [(Path(f"/acq/{number}.tif"), key_of(inode=number)) for number in range(5000)]
    added = ledger.baseline(root, [(Path("/acq/a.tif"), key_of()), *entries], noon)

    assert (added, ledger.knows_files_below(Path("/acq")), ledger.baseline_taken(root)) == (5000, True, True)
    seventh = Path("/acq/7.tif")
    known = ledger.known_files([A, seventh])
    assert (known[A].state, known[seventh].state) == (FrameState.RECORDED, FrameState.BASELINE)
    assert key_of(inode=7) == known[seventh].stat_key
    assert not ledger.baseline_taken(Path("/other"))


def test_an_empty_directory_has_a_baseline_too(ledger: Ledger, noon: datetime) -> None:
    assert ledger.baseline(Path("/acq"), [], noon) == 0
    assert ledger.baseline_taken(Path("/acq"))


def test_a_baseline_file_that_changes_becomes_a_frame_in_its_row(
    ledger: Ledger, frame_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    ledger.baseline(Path("/acq"), [(Path("/acq/a.tif"), key_of())], noon)

    assert Recorded(1, True, None, 1) == ledger.record(frame_of(targets=("t",)), noon)


def test_touch_refreshes_current_stat_keys_only(
    ledger: Ledger, frame_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    ledger.record(frame_of(content="A"), noon)
    ledger.record(frame_of(content="B"), noon)
    ledger.touch([(Path("/acq/a.tif"), key_of(inode=5)), (Path("/acq/none.tif"), key_of())])
    ledger.touch([])

    keys = [key.rsplit(":", 1)[1] for (key,) in rows(ledger, "SELECT stat_key FROM frames ORDER BY id")]
    assert keys == ["7", "5"]


def test_a_time_without_a_zone_is_refused(ledger: Ledger, frame_of: Callable[..., Outcome]) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        ledger.record(frame_of(), datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test

    assert not ledger.knows_files_below(Path("/acq"))


def test_a_failure_in_the_middle_leaves_nothing_behind_and_the_ledger_usable(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    outcome = frame_of(targets=("t",))
    assert outcome.prediction is not None
    broken = replace(outcome, prediction=replace(outcome.prediction, probability=float("nan")))
    assert Counts() == counts(ledger.path)
    with pytest.raises((ValueError, LedgerError)):
        ledger.record(broken, noon)

    assert (False, Counts()) == (ledger.knows_files_below(Path("/acq")), counts(ledger.path))
    assert ledger.record(outcome, noon).new


def test_alerts_wait_are_delivered_fail_and_die(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for name in "abcde":
        ledger.record(frame_of(f"/acq/{name}", name, targets=("t",), channels=("lamp", "horn")), noon)
    first, second, third, *_ = ledger.due_alerts("lamp", noon, limit=4)
    assert (0.9, "Tips", "because t", noon.isoformat(timespec="microseconds")) == (
        first.probability, first.category, first.reason, first.recorded_at,
    )  # fmt: skip
    ledger.alert_delivered(first.id, noon)
    ledger.alert_delivered(first.id, noon)
    ledger.alert_failed(second.id, "is off", noon + timedelta(seconds=9))
    ledger.alert_dead(third.id, "is gone")

    assert counts(ledger.path).waiting_alerts == 10 - 2
    assert [each.id for each in ledger.due_alerts("lamp", noon)] == [7, 9]
    assert len(ledger.due_alerts("horn", noon)) == 4
    later = ledger.due_alerts("lamp", noon + timedelta(seconds=9))
    assert [(second.id, 1), (7, 0), (9, 0)] == [(each.id, each.attempts) for each in later]
    assert rows(ledger, f"SELECT state, last_error, attempts FROM alerts WHERE id={third.id}") == [
        ("dead", "is gone", 1)
    ]
    assert noon == ledger.next_alert_at("lamp")
    assert ledger.next_alert_at("none") is None
    clock_put_back = noon - timedelta(days=1)
    assert list(ledger.due_alerts("lamp", clock_put_back)) == []
    assert len(ledger.due_alerts("lamp", clock_put_back, not_after=clock_put_back + timedelta(minutes=5))) == 3
    ledger.retry_alerts("lamp", noon)
    assert second.id == ledger.due_alerts("lamp", noon)[0].id


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["/acq/a", "/acq/b", "/acq/sub/c"]),
        st.sampled_from(["A", "B", "C", "", "locked"]),
        st.sampled_from(list(FrameState)[:3]),
        st.booleans(),
    ),
    max_size=12,
)


@settings(
    max_examples=settings.default.max_examples * 2 // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_whatever_happens_to_files_the_ledger_stays_one_story(
    tmp_path_factory: pytest.TempPathFactory,
    frame_of: Callable[..., Outcome],
    failure_of: Callable[..., Outcome],
    noon: datetime,
    steps: list[tuple[str, str, FrameState, bool]],
) -> None:
    path = tmp_path_factory.mktemp("story") / "ledger.sqlite"
    recorded: set[tuple[str, str]] = set()
    alerted: set[str] = set()
    alerts = 0
    with Ledger(path) as ledger:
        for file, content, state, hit in steps:
            if state is FrameState.RECORDED and content not in {"", "locked"}:
                done = ledger.record(frame_of(file, content, targets=("t",) if hit else ()), noon)
                if (file, content) in recorded:
                    assert (done.new, done.alerts) == (False, 0)
                else:
                    copy = any(content == other for at, other in recorded if at != file)
                    assert (True, copy) == (done.new, done.duplicate_of is not None)
                    assert int(hit and not copy) == done.alerts
                recorded.add((file, content))
                alerts += done.alerts
                alerted.add(content)
            elif content == "locked":
                ledger.record(failure_of(file, "", code="denied", retry_after_s=1.0), noon)
            else:
                ledger.record(
                    failure_of(file, content, FrameState.FAILED if state is FrameState.RECORDED else state), noon
                )
        assert alerts == counts(ledger.path).waiting_alerts
    with LedgerReader(path) as reader:
        every = list(reader.rows(EVERYTHING))
        current = list(reader.rows(replace(EVERYTHING, superseded=False)))
    assert sorted({file for file, *_ in steps}) == sorted(str(row.path) for row in current)
    by_id = {row.id: row for row in every}
    for row in every:
        assert row.superseded_by is None or by_id[row.superseded_by].supersedes == row.id
        assert row.supersedes is None or by_id[row.supersedes].superseded_by == row.id
    assert len(recorded) == sum(row.state is FrameState.RECORDED for row in every)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((0.0, 1.0, 1.5, 3.0, 5.5), id="as written"),
        pytest.param((5.5, 3.0, 1.5, 1.0, 0.0), id="backwards"),
        pytest.param((0.0, 1.5, 3.0, 1.0, 5.5), id="one late"),
        pytest.param((3.0, 0.0, 5.5, 1.5, 1.0), id="the ends first"),
    ],
)
def test_frames_within_the_gap_are_one_session_in_whatever_order_they_arrive(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime, order: tuple[float, ...]
) -> None:
    # Hours 0 to 3 hang together; hour 5.5 is a session of its own.
    for hours in order:
        ledger.record(frame_of(f"/acq/{hours}", str(hours), written_at=noon + timedelta(hours=hours)), noon)

    with LedgerReader(ledger.path) as reader:
        actual = {(each.name, each.frames, each.started_at, each.ended_at) for each in reader.sessions()}
    at = [noon + timedelta(hours=hours) for hours in (0.0, 3.0, 5.5)]
    assert {("2026-03-01T12:00", 4, at[0], at[1]), ("2026-03-01T17:30", 1, at[2], at[2])} == actual


def test_the_gap_itself_still_belongs_to_the_session(
    ledger: Ledger, frame_of: Callable[..., Outcome], noon: datetime
) -> None:
    for minutes in (0, 120, 240, 361):
        ledger.record(frame_of(f"/acq/{minutes}", str(minutes), written_at=noon + timedelta(minutes=minutes)), noon)

    with LedgerReader(ledger.path) as reader:
        assert [each.frames for each in reader.sessions()] == [1, 3]


def test_baseline_and_skipped_files_make_no_session(
    ledger: Ledger, failure_of: Callable[..., Outcome], key_of: Callable[..., StatKey], noon: datetime
) -> None:
    ledger.baseline(Path("/acq"), [(Path("/acq/b"), key_of())], noon)
    ledger.record(failure_of(state=FrameState.SKIPPED), noon)

    assert rows(ledger, "SELECT * FROM sessions") == []
