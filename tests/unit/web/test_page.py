"""What the page answers, to whom, and what it refuses."""

from __future__ import annotations

import io
import itertools
import json
import re
import sqlite3
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from markupsafe import escape
from PIL import Image

from emwatch.classify.bundles import store
from emwatch.classify.bundles.store import InUse
from emwatch.classify.classifier import Classifier
from emwatch.config.schema import WebConfig
from emwatch.errors import ConfigError
from emwatch.ledger.entries import Note
from emwatch.ledger.writer import Ledger
from emwatch.pictures.cache import PictureCache
from emwatch.pictures.reader import PictureReader
from emwatch.service.progress import Histogram
from emwatch.testing import NOON
from emwatch.units import number_text
from emwatch.web.app import Settings, create_app
from emwatch.web.asking import KEYS, PAGING
from emwatch.web.frame_pictures import FramePictures
from emwatch.web.frames import Frames
from emwatch.web.live import Broadcast
from emwatch.web.metrics import metrics_text
from emwatch.web.security import Access
from emwatch.web.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from emwatch.config import Config
    from emwatch.ledger.query import LogRow

    from .conftest import Open

PAGES = ["/", "/frames", "/frames/1", "/ask", "/review"]


class TestPages:
    @pytest.mark.parametrize("path", [*PAGES, "/login", "/static/live.js", "/static/style.css"])
    def test_every_page_is_served_with_a_policy_that_forbids_foreign_content(self, browser: Open, path: str) -> None:
        answer = browser().get(path, buffered=True)

        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize("path", PAGES)
    def test_no_page_holds_a_script_or_style_of_its_own_or_an_address_elsewhere(self, browser: Open, path: str) -> None:
        text = browser().get(path).text

        assert "<script>" not in text
        assert " style=" not in text
        assert " onclick" not in text
        assert "http://" not in text.replace("http://localhost", "")
        assert "https://" not in text

    def test_a_hostile_file_name_is_text(self, browser: Open) -> None:
        for path in ("/frames", f"/frames/{_number(browser, 'script')}"):
            text = browser().get(path).text

            assert "<script>alert(1)" not in text
            assert "&lt;script&gt;alert(1)" in text

    def test_the_filter_in_the_address_is_that_of_the_log(self, browser: Open) -> None:
        client = browser()

        assert client.get("/api/v1/frames/count").json == {"count": 14}
        assert client.get("/api/v1/frames/count?state=failed").json == {"count": 1}
        assert client.get("/api/v1/frames/count?target=anything").json == {"count": 13}
        assert client.get("/api/v1/frames/count?path=frame_0003.tif").json == {"count": 1}
        assert "frame_0003.tif" in client.get("/frames?path=frame_0003.tif").text

    def test_pages_follow_each_other_without_a_gap_or_a_repeat(self, browser: Open) -> None:
        client = browser()
        seen: list[int] = []
        before = ""
        while True:
            page = client.get("/api/v1/frames", query_string={"limit": 3, "before": before} if before else {"limit": 3})
            seen += [each["id"] for each in page.json["frames"]]
            before = page.json["before"]
            if not before:
                break

        assert sorted(seen) == sorted(set(seen))
        assert len(seen) == 14

    def test_a_frame_shows_every_value_with_its_source(self, browser: Open) -> None:
        document = browser().get("/api/v1/frames/1").json
        text = browser().get("/frames/1").text

        assert document["metadata"]
        assert all(each["source"] for each in document["metadata"])
        assert all(each["title"].split(" (")[0] in text for each in document["metadata"])
        flag = next(each for each in document["metadata"] if each["name"] == "tilt_correction")
        tall = next(each for each in document["metadata"] if each["name"] == "stage_tilt_deg")
        assert (flag["value"], flag["text"]) in {(False, "no"), (True, "yes")}
        assert tall["text"] == number_text(tall["value"])
        known = [each for each in document["metadata"] if each["value"] is not None]
        assert all(f'<td class="number">{escape(each["text"])}</td>' in text for each in known)
        assert sum(each["probability"] for each in document["scores"]) == pytest.approx(1)


class TestPictures:
    def test_a_picture_is_drawn_once_and_then_kept(self, browser: Open, recorded: Path, tmp_path: Path) -> None:
        client = browser()
        first = client.get("/api/v1/frames/1/picture?size=320")

        assert first.mimetype == "image/jpeg"
        assert max(Image.open(io.BytesIO(first.data)).size) == 320
        assert len(list((tmp_path / "pictures").rglob("*.jpg"))) == 1
        assert client.get("/api/v1/frames/1/picture?size=300").data == first.data
        assert not [each for each in (recorded / "frames").iterdir() if each.suffix == ".jpg"]

    def test_a_failed_file_has_no_picture(self, browser: Open) -> None:
        answer = browser().get(f"/api/v1/frames/{_number(browser, 'torn')}/picture")

        assert answer.status_code == 404
        assert "no picture" in answer.json["error"]["message"]

    def test_a_file_overwritten_since_is_not_shown_as_the_old_frame(
        self, browser: Open, config: Config, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "moved.tif"
        elsewhere.write_bytes(b"II*\0 something else")
        with closing(sqlite3.connect(config.ledger.path)) as ledger, ledger:
            ledger.execute("UPDATE frames SET path = ? WHERE id = 1", (str(elsewhere),))

        assert browser().get("/api/v1/frames/1/picture").status_code == 422


class TestErrors:
    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("category=Cats", "Biological"),
            ("magnification=high", "5k..20k"),
            ("since=someday", "2h"),
            ("min_probability=2", "0 to 1"),
            ("colour=red", "category"),
            ("limit=0", "1 to 500"),
            ("limit=501", "1 to 500"),
            ("limit=000001" + "0" * 30, "1 to 500"),
            ("limit=" + "9" * 5000, "1 to 500"),
            ("before=x", "earlier page"),
            ("hits=maybe", "1 for yes"),
        ],
    )
    def test_a_filter_that_makes_no_sense_is_told_with_what_is_expected(
        self, browser: Open, query: str, named: str
    ) -> None:
        answer = browser().get(f"/api/v1/frames?{query}")

        assert answer.status_code == 400
        assert named in answer.json["error"]["message"]

    @pytest.mark.parametrize("limit", ["0", "501", "000001" + "0" * 30, "9" * 5000, "-1", "1.5", "\u0661", ""])
    def test_a_number_of_alerts_that_makes_no_sense_is_told(self, browser: Open, limit: str) -> None:
        assert browser().get("/api/v1/alerts", query_string={"limit": limit}).status_code == 400

    @pytest.mark.parametrize("number", ["99999", "9" * 30, "0"])
    def test_an_unknown_number_is_told(self, browser: Open, number: str) -> None:
        assert browser().get(f"/api/v1/frames/{number}").status_code == 404
        assert browser().get(f"/frames/{number}").status_code == 404

    @pytest.mark.parametrize("damage", ["away", "garbage", "newer", "empty"])
    def test_a_ledger_that_cannot_be_read_is_explained_and_comes_back(
        self, browser: Open, config: Config, damage: str
    ) -> None:
        client, ledger = browser(), config.ledger.path
        sound = ledger.read_bytes()
        if damage == "away":
            ledger.unlink()
        elif damage == "newer":
            with closing(sqlite3.connect(ledger)) as opened, opened:
                opened.execute("UPDATE alembic_version SET version_num = '9999'")
        else:
            ledger.write_bytes(b"garbage" * 1000 if damage == "garbage" else b"")

        broken = client.get("/frames")
        assert broken.status_code == (200 if damage == "empty" else 503)
        if damage != "empty":
            assert "ledger" in broken.text
            assert client.get("/api/v1/frames").json["error"]["advice"]
        assert client.get("/healthz").status_code == 503

        for beside in ledger.parent.glob("ledger.sqlite3-*"):
            beside.unlink()
        ledger.write_bytes(sound)
        assert client.get("/frames").status_code == 200

    @pytest.mark.parametrize("path", ["/nothing", "/static/../app.py", "/static/%2e%2e/app.py", "/api/v1/nothing"])
    def test_other_addresses_lead_nowhere(self, browser: Open, path: str) -> None:
        assert browser().get(path).status_code == 404


class TestAccess:
    @pytest.mark.parametrize(
        "host",
        ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "a b", "a..b", "localhost..evil"],
    )
    def test_a_foreign_name_is_refused(self, browser: Open, host: str) -> None:
        assert browser().get("/", headers={"Host": host}).status_code in {400, 421}

    @pytest.mark.parametrize(
        ("written", "asked"),
        [
            ("SEM-PC", "sem-pc:8754"),
            ("sem-pc.example.org:8754", "sem-pc.example.org"),
            ("http://SEM-PC/", "sem-pc"),
            ("sem-pc.example.org", "sem-pc.example.org.:8754"),
            ("fe80::1", "[fe80::1]:8754"),
            ("[FE80::1]", "[fe80::1]"),
            ("sem-pc, [, a b", "sem-pc"),
        ],
    )
    def test_a_name_is_taken_however_it_is_written(
        self, config: Config, tmp_path: Path, written: str, asked: str
    ) -> None:
        names = frozenset(written.split(", "))
        app = create_app(config, Settings(Access(names), tmp_path / "pictures"))

        assert app.test_client().get("/", headers={"Host": asked}).status_code == 200
        for other in ("localhost", "evil.example", "http", "", "[", f"{asked.partition(':')[0]}.evil.example"):
            assert app.test_client().get("/", headers={"Host": other}).status_code in {400, 421}

    @pytest.mark.parametrize("host", ["localhost", "localhost:8754", "127.0.0.1:1"])
    def test_its_own_names_are_taken_with_any_port(self, browser: Open, host: str) -> None:
        assert browser().get("/", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ],
    )
    def test_a_change_that_another_page_sends_is_refused(
        self, browser: Open, config: Config, headers: dict[str, str]
    ) -> None:
        asked = {"frames": [1], "verdict": "reject"}

        assert browser().post("/api/v1/reviews", json=asked, headers=headers).status_code == 403
        assert not list(config.ledger.path.parent.glob("*.reviews/*"))

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "http://localhost"},
            {"Origin": "https://localhost"},  # a web server that encrypts stands before the page
            {"Origin": "https://sem.example", "Sec-Fetch-Site": "same-origin"},  # and passes no name on
            {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        ],
    )
    def test_a_change_of_its_own_or_of_a_program_is_taken(self, browser: Open, headers: dict[str, str]) -> None:
        asked = {"frames": [1], "verdict": "reject"}

        assert browser().post("/api/v1/reviews", json=asked, headers=headers).status_code == 202

    def test_without_the_token_only_the_form_and_health_are_answered(self, browser: Open) -> None:
        client = browser(token="a long enough token")

        assert client.get("/").status_code == 401
        assert 'href="/login?next=/frames?category%3DTips"' in client.get("/frames?category=Tips").text
        assert client.get("/api/v1/frames").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/login").status_code == 200
        assert client.get("/healthz").status_code == 503
        assert client.post("/login", data={"token": "wrong"}).status_code == 401
        assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401

    def test_with_the_token_all_is_open(self, browser: Open) -> None:
        client = browser(token="a long enough token")
        entered = client.post("/login", data={"token": "a long enough token"})

        assert entered.status_code == 302
        assert "HttpOnly" in entered.headers["Set-Cookie"]
        assert "SameSite=Lax" in entered.headers["Set-Cookie"]
        assert client.get("/").status_code == 200

        bearer = {"Authorization": "Bearer a long enough token"}
        assert browser(token="a long enough token").get("/api/v1/frames", headers=bearer).status_code == 200

    @pytest.mark.parametrize(
        ("wanted", "opened"),
        [
            ("/frames?category=Tips&hits=1", "/frames?category=Tips&hits=1"),
            ("", "/"),
            *((evil, "/") for evil in ("http://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example")),
        ],
    )
    def test_the_token_leads_to_what_was_asked_for_and_nowhere_else(
        self, browser: Open, wanted: str, opened: str
    ) -> None:
        client = browser(token="a long enough token")
        asked = {"next": wanted}
        entered = client.post("/login", query_string=asked, data={"token": "a long enough token"})

        assert entered.headers["Location"] == opened

    @pytest.mark.parametrize(
        ("host", "only_here"),
        [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("sem-pc", False)],
    )
    def test_what_other_machines_reach_needs_a_token(self, host: str, only_here: bool) -> None:
        with nullcontext() if only_here else pytest.raises(ConfigError, match="there is no token"):
            WebConfig(host=host).token_to_serve_with()


class TestReviews:
    def test_a_review_is_left_for_the_daemon(self, browser: Open, config: Config) -> None:
        answer = browser().post("/api/v1/reviews", json={"frames": [2], "verdict": "relabel", "category": "Tips"})
        [left] = config.ledger.path.parent.glob("*.reviews/*.json")
        [review] = json.loads(left.read_text())["reviews"]

        assert answer.status_code == 202
        assert (review["frame_id"], review["verdict"], review["category"]) == (2, "relabel", "Tips")
        assert answer.json["reviews"] == [
            {key: review[key] for key in ("frame_id", "verdict", "category", "reviewed_at")}
        ]

    def test_what_was_shown_is_what_is_confirmed(self, browser: Open) -> None:
        shown = browser().get("/api/v1/frames/2").json["category"]
        for asked in ({}, {"category": shown}):
            answer = browser().post("/api/v1/reviews", json={"frames": [2], "verdict": "confirm", **asked})
            assert [each["category"] for each in answer.json["reviews"]] == [shown]

    @pytest.mark.parametrize(
        ("document", "status"),
        [
            ({"frames": [2], "verdict": "relabel", "category": "Cats"}, 400),
            ({"frames": [2], "verdict": "love"}, 400),
            ({"frames": [], "verdict": "reject"}, 400),
            ({"frames": [True], "verdict": "reject"}, 400),
            ({"frames": ["2"], "verdict": "reject"}, 400),
            ({"frames": [2], "verdict": "reject", "note": "x" * 2000}, 400),
            ({"frames": [99999], "verdict": "reject"}, 404),
            ({"frames": [2], "verdict": "confirm", "category": "what another model said"}, 400),
            ([1, 2], 400),
            (None, 400),
        ],
    )
    def test_one_that_makes_no_sense_leaves_nothing(
        self, browser: Open, config: Config, document: object, status: int
    ) -> None:
        assert browser().post("/api/v1/reviews", json=document).status_code == status
        assert not list(config.ledger.path.parent.glob("*.reviews/*.json"))


class TestAsk:
    def test_a_picture_is_answered_about_and_not_kept(self, browser: Open, recorded: Path, config: Config) -> None:
        before = config.ledger.path.read_bytes()
        frame = recorded / "frames" / "frame_0001.tif"

        answer = _ask(browser, frame.read_bytes(), "../../etc/frame.tif").json

        assert sum(each["probability"] for each in answer["scores"]) == pytest.approx(1)
        assert answer["image"]["format"] == "TIFF"
        assert answer["metadata"]
        assert config.ledger.path.read_bytes() == before

    def test_a_frame_is_answered_about_as_the_daemon_recorded_it(self, browser: Open, recorded: Path) -> None:
        client = browser()

        def said(of: Any) -> tuple[object, ...]:
            return of["category"], of["uncertain"], round(of["probability"], 6)

        rows = client.get("/api/v1/frames?state=recorded").json["frames"]
        asked = {}
        for row in rows:
            frame = (recorded / "frames" / row["name"]).read_bytes()
            asked[row["name"]] = _ask(browser, frame, "a.tif", client).json
        assert {name: said(answer) for name, answer in asked.items()} == {row["name"]: said(row) for row in rows}

    def test_another_model_in_use_answers_from_then_on(
        self, browser: Open, recorded: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[Path] = []
        in_use = InUse(Path("first"), None)

        def load(self: InUse, engine: str, threads: int) -> Classifier:
            loaded.append(self.directory)
            return Classifier.load(self.directory, engine, threads)

        monkeypatch.setattr(store, "in_use", lambda _config: in_use)
        monkeypatch.setattr(InUse, "load", load)
        client, frame = browser(), (recorded / "frames" / "frame_0001.tif").read_bytes()

        for _ in range(2):
            _ask(browser, frame, "a.tif", client)
        in_use = InUse(Path("second"), None)
        _ask(browser, frame, "a.tif", client)
        assert loaded == [Path("first"), Path("second")]

    def test_what_is_no_picture_or_a_bomb_is_explained(self, browser: Open) -> None:
        assert _ask(browser, b"no picture", "a.tif").status_code == 422
        assert _ask(browser, b"", "a.tif").status_code == 422
        assert _ask(browser, _bomb(), "bomb.png").status_code == 422
        assert browser().post("/api/v1/ask", data={}).status_code == 400

    def test_too_many_questions_have_to_wait(self, browser: Open) -> None:
        client = browser(ask_per_minute=2)
        asked = [
            client.post("/api/v1/ask", data={"picture": (io.BytesIO(b"x"), "a.tif")}).status_code for _ in range(3)
        ]

        assert asked == [422, 422, 429]


def test_metrics_are_openmetrics_text(browser: Open) -> None:
    answer = browser().get("/metrics")
    lines = answer.text.splitlines()

    assert answer.content_type.startswith("application/openmetrics-text")
    assert lines[-1] == "# EOF"
    assert "emwatch_up 0" in lines
    assert 'emwatch_frames{state="recorded"} 13' in lines
    assert 'emwatch_frames{state="failed"} 1' in lines


def test_metrics_tell_how_long_frames_spend_in_each_stage(browser: Open) -> None:
    settling = Histogram()
    for seconds in (0.02, 0.02, 0.3):
        settling.add(seconds)
    stages = {"settling": settling.document()}
    text = metrics_text({**browser().get("/api/v1/status").json, "stages": stages}, 0)

    assert 'emwatch_stage_seconds_bucket{stage="settling",le="0.01"} 0' in text
    assert 'emwatch_stage_seconds_bucket{stage="settling",le="0.025"} 2' in text
    assert 'emwatch_stage_seconds_bucket{stage="settling",le="+Inf"} 3' in text
    assert 'emwatch_stage_seconds_count{stage="settling"} 3' in text
    assert 'emwatch_stage_seconds_sum{stage="settling"} 0.34' in text


def test_events_begin_with_what_was_missed(browser: Open) -> None:
    answer = browser().get("/api/v1/events", headers={"Last-Event-ID": "12"}, buffered=False)
    blocks = iter(answer.response)
    text = "".join(_text(next(blocks)) for _ in range(2))
    answer.close()
    kinds = re.findall(r"^event: (\w+)$", text, re.MULTILINE)
    documents = [json.loads(each) for each in re.findall(r"^data: (.*)$", text, re.MULTILINE)]

    assert kinds == ["status", "targets", "frame", "frame"]
    assert documents[0]["frames"]["recorded"] == 13
    assert [each["name"] for each in documents[1]["targets"]] == ["anything", "never"]
    assert [each["id"] for each in documents[2:]] == [13, 14]


def test_what_goes_wrong_once_does_not_end_the_events(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Frames):
        away = threading.Event()

        def newest_id(self) -> int:
            if self.away.is_set():
                self.away.clear()
                raise sqlite3.OperationalError("disk I/O error")
            return super().newest_id()

    for name in ("_LOOK_EVERY_S", "_ASK_EVERY_S", "_STATUS_EVERY_S"):
        monkeypatch.setattr(f"emwatch.web.live.{name}", 0.005)
    frames, made = Away(config.ledger.path), itertools.count()
    status = Shared(lambda: {"number": next(made)}, now=lambda: next(made))
    told = _broadcast(frames, status, config).events(14)
    for _ in range(2):
        next(told)
    frames.away.set()
    _until(lambda: not frames.away.is_set())
    after = next(made)

    _until(lambda: any(int(each) > after for each in re.findall(r'"number": (\d+)', next(told))))
    told.close()


def test_a_page_that_takes_nothing_is_cut_off_and_not_left_behind(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_LOOK_EVERY_S", 0.001), ("_STATUS_EVERY_S", 0.001), ("_MOST_WAITING", 5)):
        monkeypatch.setattr(f"emwatch.web.live.{name}", value)
    broadcast = _broadcast(Frames(config.ledger.path), Shared(dict), config)
    told = broadcast.events(14)
    for _ in range(2):
        next(told)
    _until(lambda: broadcast.pages == 0)

    assert len(list(told)) < 5, "the stream ends: the browser connects again"


def _broadcast(frames: Frames, status: Shared[dict[str, Any]], config: Config) -> Broadcast:
    pictures = FramePictures(frames, PictureReader(), PictureCache(config.ledger.path.parent / "pictures"))
    return Broadcast(frames, pictures, status, Shared(dict))


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.001)


def test_a_note_names_who_wrote_it(browser: Open, config: Config) -> None:
    with Ledger(config.ledger.path) as ledger:
        ledger.enter(Note("charging <b>here</b>\nsecond line", "Ana", NOON, frame_id=3))

    [note] = browser().get("/api/v1/frames/3").json["notes"]
    page = browser().get("/frames/3").text
    assert (note["text"], note["written_by"]) == ("charging <b>here</b>\nsecond line", "Ana")
    assert "charging &lt;b&gt;here&lt;/b&gt;\nsecond line" in page
    assert "Ana, " in page


class TestManyPagesAtOnce:
    def test_a_new_frame_s_picture_is_looked_up_and_drawn_once(self, config: Config, tmp_path: Path) -> None:
        class Counted(Frames):
            asked = 0

            def row(self, frame_id: int) -> LogRow:
                self.asked += 1
                return super().row(frame_id)

        frames = Counted(config.ledger.path)
        with PictureReader() as reader, ThreadPoolExecutor(20) as pages:
            pictures = FramePictures(frames, reader, PictureCache(tmp_path / "pictures"))
            version = frames.whole(1)["picture_version"]
            frames.asked = 0
            shown = list(pages.map(lambda _: pictures.get(1, 320, with_scale_bar=False, version=version), range(20)))

        assert len({each.jpeg for each in shown}) == 1
        assert frames.asked == 1

    def test_a_picture_with_its_version_is_never_asked_for_again(self, browser: Open) -> None:
        client = browser()
        version = client.get("/api/v1/frames/1").json["picture_version"]

        lasting = client.get(f"/api/v1/frames/1/picture?size=320&v={version}")
        other = client.get("/api/v1/frames/1/picture?size=320&v=0123456789ab")
        same = client.get("/api/v1/frames/1/picture?size=320", headers={"If-None-Match": lasting.headers["ETag"]})

        assert "immutable" in lasting.headers["Cache-Control"]
        assert "immutable" not in other.headers["Cache-Control"]
        assert other.data == lasting.data
        assert (same.status_code, same.data) == (304, b"")


def test_the_description_names_every_route(browser: Open) -> None:
    client = browser()
    described = set(client.get("/api/v1/openapi.json").json["paths"])
    routes = {
        rule.rule.removeprefix("/api/v1").replace("<int:frame_id>", "{frame_id}")
        for rule in client.application.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
    }

    assert described == routes - {"/openapi.json"}
    parameters = client.get("/api/v1/openapi.json").json["paths"]["/frames"]["get"]["parameters"]
    assert {each["name"] for each in parameters} == KEYS | PAGING


def _text(block: object) -> str:
    return block.decode() if isinstance(block, bytes) else str(block)


def _ask(browser: Open, content: bytes, name: str, client: FlaskClient | None = None) -> TestResponse:
    answer = (client or browser()).post("/api/v1/ask", data={"picture": (io.BytesIO(content), name)})
    answer.request.environ["wsgi.input"].close()  # the test client leaves its own copy of a large upload open
    return answer


def _number(browser: Open, part: str) -> int:
    found = browser().get("/api/v1/frames", query_string={"state": "all", "limit": 100}).json["frames"]
    return next(int(each["id"]) for each in found if part in each["name"])


def _bomb() -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)
