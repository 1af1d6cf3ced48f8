"""A target learned from examples finds its like in the log, and nothing else; the model is the one that is shipped."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from emwatch.classify.compact import in_8_bits, space_of
from emwatch.config.schema import Config
from emwatch.errors import TargetError
from emwatch.frame import Embedding, EmbeddingSpace, Match
from emwatch.ledger.writer import Ledger
from emwatch.service.learned_targets import LearnedTargets
from emwatch.targets.learned import Share, learn, unit
from emwatch.targets.rules import match_targets
from emwatch.teaching.doubts import doubts
from emwatch.teaching.store import Example, LearnedTarget, TargetStore
from emwatch.teaching.targets import apply, similar
from emwatch.testing import NOON, make_candidate, make_outcome, make_prediction, make_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from emwatch.targets.rules import Target

WIDTH = 32
SPACE = space_of("b" * 64, "p" * 64, WIDTH)
OTHER = space_of("c" * 64, "p" * 64, WIDTH)


@pytest.fixture(name="near")
def _near() -> Callable[[int, float], Any]:
    """Return rows of length 1 around one of the axes, (5, width), as far as ``noise`` from it."""
    random = np.random.default_rng(3)

    def near(axis: int, noise: float = 0.1, rows: int = 5) -> Any:
        return unit(np.eye(WIDTH)[axis] + noise * random.normal(size=(rows, WIDTH)))

    return near


def embedding(row: Any, space: EmbeddingSpace = SPACE) -> Embedding:
    return Embedding(space, in_8_bits(row.astype(np.float32)))


def taught(near: Callable[..., Any], name: str = "rods", version: int = 1) -> LearnedTarget:
    wanted, unwanted = near(0), near(1)
    head, _ = learn(SPACE.sha256, [row[None] for row in wanted], [row[None] for row in unwanted], near(2, 0.5, 60))
    examples = tuple(
        Example(f"/acq/{at}.tif", f"{at}", wanted=True, views=(embedding(row).values,)) for at, row in enumerate(wanted)
    )
    return LearnedTarget(name, version, head, examples, NOON.isoformat(), {"wanted": 5, "recall": [1.0, 0.65, 1.0]})


class TestLearning:
    def test_what_separates_is_found_and_said_so(self, near: Callable[..., Any]) -> None:
        head, estimate = learn(
            SPACE.sha256, [row[None] for row in near(0)], [row[None] for row in near(1)], near(2, 0.5, 60)
        )
        assert (head.scores(near(0, 0.1, 50)) >= head.threshold).mean() > 0.95
        assert (head.scores(near(1, 0.1, 50)) >= head.threshold).mean() < 0.05
        assert estimate.separates
        assert estimate.recall.low < 0.8, "five examples prove little"

    def test_examples_like_everything_else_are_said_not_to_separate(self, near: Callable[..., Any]) -> None:
        _, estimate = learn(SPACE.sha256, [row[None] for row in near(2, 0.5)], [], near(2, 0.5, 200))
        assert not estimate.separates

    def test_what_is_not_meant_stays_out_though_the_examples_are_diverse(self, near: Callable[..., Any]) -> None:
        wanted = [row[None] for axis in range(4) for row in near(axis, 0.02, 2)]
        unwanted = [unit(wanted[0] + 0.9 * near(9, 0.05, 1))]
        head, estimate = learn(SPACE.sha256, wanted, unwanted, near(12, 0.8, 200))
        assert head.scores(unwanted[0])[0] < head.threshold
        assert (sum(head.scores(row)[0] >= head.threshold for row in wanted), estimate.let_in) == (8, ())

    def test_what_is_not_meant_and_cannot_be_kept_out_is_named(self, near: Callable[..., Any]) -> None:
        wanted = [row[None] for row in near(0, 0.1, 8)]
        middle = unit(np.concatenate(wanted).mean(axis=0))[None]
        _, estimate = learn(SPACE.sha256, wanted, [middle], near(12, 0.5, 60))
        assert estimate.let_in == (0,)
        assert not estimate.separates

    def test_one_example_is_refused(self, near: Callable[..., Any]) -> None:
        with pytest.raises(ValueError, match="at least two"):
            learn(SPACE.sha256, [near(0)], [], near(2))

    @pytest.mark.parametrize(
        ("hits", "total", "low", "high"), [(5, 5, 0.648, 1.0), (0, 5, 0.0, 0.352), (50, 100, 0.419, 0.581)]
    )
    def test_intervals_are_wilson_s(self, hits: int, total: int, low: float, high: float) -> None:
        share = Share.of(hits, total)
        assert (share.low, share.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


class TestStore:
    def test_a_target_is_read_back_as_it_was_written_in_a_few_kb(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store, target = TargetStore(tmp_path / "l.sqlite"), taught(near)
        path = store.keep(target)
        assert path.stat().st_size < 16_000
        again = store.get("rods")
        assert again.to_bytes() == target.to_bytes()
        assert again.examples == target.examples

    def test_the_newest_version_counts_and_all_are_forgotten(self, near: Callable[..., Any], tmp_path: Path) -> None:
        store = TargetStore(tmp_path / "l.sqlite")
        for version in (1, 2, 10):
            store.keep(taught(near, version=version))
        assert (store.get("rods").version, store.next_version("rods")) == (10, 11)
        assert store.forget("rods") == 3
        with pytest.raises(TargetError, match="no learned target"):
            store.get("rods")

    def test_what_is_kept_can_be_read_again_however_many_examples_it_has(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store, target = TargetStore(tmp_path / "l.sqlite"), taught(near)
        many = replace(target, examples=tuple(replace(each, path="/acq" * 50) for each in target.examples * 1_000))
        store.keep(many)
        assert len(store.get("rods").examples) == 5_000
        with pytest.raises(TargetError, match="too many"):
            store.keep(replace(many, version=2, examples=many.examples * 12))
        assert store.get("rods").version == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"format": 2},
            {"weights": "AA"},
            {"weights": ""},
            {"threshold": "high"},
            {"examples": [{"path": "", "sha256": "", "wanted": True, "views": "AAAA", "count": 1}]},
            {"name": "a\nb"},
            {"version": None},
            {"version": 0},
            {"version": -3},
            {"version": "1"},
            {"learned_at": "\x1b[2J"},
            {"learned_at": 5},
        ],
    )
    def test_a_file_that_is_none_is_refused_by_name(
        self, change: dict[str, Any], near: Callable[..., Any], tmp_path: Path
    ) -> None:
        document = json.loads(taught(near).to_bytes()) | change
        file = tmp_path / "given.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        with pytest.raises(TargetError, match=r"given\.json"):
            TargetStore(tmp_path / "l.sqlite").take(file)

    def test_two_who_learn_one_name_at_once_are_two_versions(self, near: Callable[..., Any], tmp_path: Path) -> None:
        rival = replace(taught(near), learned_at="2026-01-01T00:00:00+00:00")

        class InBetween(TargetStore):
            """A store in which somebody else is always quicker once."""

            def next_version(self, name: str) -> int:
                number = super().next_version(name)
                if number == 1:
                    self.keep(rival)
                return number

        kept = InBetween(tmp_path / "l.sqlite").keep_next(taught(near))
        files = sorted((tmp_path / "targets").iterdir())
        assert kept.version == 2
        assert [each.name for each in files] == ["rods-001.json", "rods-002.json"]
        assert files[0].read_bytes() == rival.to_bytes()

    def test_a_place_that_is_no_folder_is_an_error_and_no_endless_search(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        (tmp_path / "targets").touch()
        with pytest.raises(FileExistsError):
            TargetStore(tmp_path / "l.sqlite").keep_next(taught(near))

    def test_a_version_that_cannot_be_read_is_healed_by_learning_again_and_forgotten_with_the_others(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store = TargetStore(tmp_path / "l.sqlite")
        store.keep(taught(near))
        broken = store.directory / "rods-002.json"
        broken.write_bytes(b"{")
        assert list(store.survey()[1]) == [broken]

        assert store.keep_next(taught(near)).version == 3
        assert broken.read_bytes() == b"{"
        assert store.survey()[1] == {}
        (store.directory / "rods-004.json").write_bytes(b"{")
        (store.directory / "balls-001.json").write_bytes(b"{")
        assert store.forget("rods") == 4
        assert store.forget("balls") == 1
        assert list(store.directory.iterdir()) == []

    @pytest.mark.parametrize(
        "share", [["a", "b", "c"], [0.5], 0.5, [True, 0, 1], [0.5, 0.4, 1e9], {"x": 1}, "\x1b[2J", None]
    )
    def test_estimates_that_are_none_are_not_shown_and_the_target_works(
        self, share: Any, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        facts = {"wanted": share, "recall": share, "false_alarms": [0.1, None, 0.2], "further": share}
        document = json.loads(taught(near).to_bytes()) | {"facts": facts}
        file = tmp_path / "given.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        assert TargetStore(tmp_path / "l.sqlite").take(file).facts == {"false_alarms": [0.1, None, 0.2]}


class TestSearch:
    @pytest.fixture(name="config")
    def _config(self, tmp_path: Path, near: Callable[..., Any]) -> Config:
        path = tmp_path / "l.sqlite"
        with Ledger(path) as ledger:
            for at, row in enumerate([*near(0), *near(1), *near(5)]):
                said = make_prediction(embedding=embedding(row))
                ledger.record(make_outcome(f"/acq/{at:02}.tif", str(at), prediction=said), NOON + timedelta(hours=at))
            ledger.record(make_outcome("/acq/none.tif", "none"), NOON)
        TargetStore(path).keep(taught(near))
        return Config.model_validate({"ledger": {"path": path}})

    def test_the_past_is_searched(self, config: Config) -> None:
        found = apply(config, "rods")
        assert {each.frame.path.stem for each in found} == {"00", "01", "02", "03", "04"}
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        assert len(apply(config, "rods", since=NOON + timedelta(hours=3))) == 2

    def test_a_target_of_another_backbone_is_not_taken_for_one_that_nothing_meets(
        self, config: Config, near: Callable[..., Any]
    ) -> None:
        assert apply(config, "rods", since=NOON + timedelta(days=9)) == []
        head = replace(taught(near).head, space_sha256=OTHER.sha256)
        TargetStore(config.ledger.path).keep(replace(taught(near, "old"), head=head))
        with pytest.raises(TargetError, match="learn it again"):
            apply(config, "old")

    def test_a_damaged_embedding_costs_only_its_own_frame(self, config: Config) -> None:
        with closing(sqlite3.connect(config.ledger.path)) as connection:
            connection.execute("UPDATE embeddings SET vector = x'0102' WHERE frame_id = 2")
            connection.commit()
        assert {each.frame.path.stem for each in apply(config, "rods")} == {"00", "02", "03", "04"}
        with pytest.raises(TargetError, match="reclassify"):
            similar(config, 2)

    def test_similar_frames_are_those_around(self, config: Config) -> None:
        found = similar(config, 6, limit=4)
        assert {each.frame.path.stem for each in found} == {"06", "07", "08", "09"}
        with pytest.raises(TargetError, match="reclassify"):
            similar(config, 16)


class Matching:
    """Matches one frame with each group of targets that it is given."""

    def __init__(self, looks: Embedding) -> None:
        self.said = make_prediction(uncertain=True, embedding=looks)
        self.found: list[tuple[Match, ...]] = []

    def use_targets(self, targets: Sequence[Target]) -> None:
        self.found.append(match_targets(targets, make_candidate(self.said)))


class TestDaemon:
    def test_a_target_that_is_learned_counts_from_the_next_look_on(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        path, told = tmp_path / "l.sqlite", []
        user = Matching(embedding(near(0, 0.1, 1)[0]))
        wanted = (make_target("mine", learned="rods"),)
        live = LearnedTargets(path, wanted, told.append, (user, None), lambda: SPACE)
        live.tick(10.0)
        TargetStore(path).keep(taught(near))
        live.tick(10.5)
        assert user.found == [()]
        live.tick(13.0)
        ((match,),) = user.found[1:]
        assert match.target == "mine"
        assert "likeness" in match.reason
        assert len(told) == 1

    def test_a_file_that_cannot_be_read_costs_no_other_target_and_is_tried_again(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store, told = TargetStore(tmp_path / "l.sqlite"), []
        path = store.keep(taught(near))
        user = Matching(embedding(near(0, 0.1, 1)[0]))
        live = LearnedTargets(
            tmp_path / "l.sqlite", (make_target("mine", learned="rods"),), told.append, (user,), lambda: SPACE
        )
        whole = path.read_bytes()
        path.write_bytes(b"{")
        store.keep(taught(near, "second"))
        live.tick(10.0)
        live.exchange((make_target("mine", learned="rods"), make_target("new", learned="second"), make_target("any")))
        assert [match.target for match in user.found[-1]] == ["mine", "new", "any"]
        assert [(each.level, path.name in each.text) for each in told] == [("error", True)]

        found = path.stat()
        path.write_bytes(whole)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))  # nothing but time tells that it can be read again
        live._known.clear()
        live.tick(65.0)
        live.tick(70.0)
        assert [match.target for match in user.found[-1]] == ["mine", "new", "any"]
        assert live._troubles == []
        assert len(told) == 1
        assert store.next_version("rods") == 2

    def test_what_was_forgotten_alerts_no_more_though_another_file_cannot_be_read(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store = TargetStore(tmp_path / "l.sqlite")
        store.keep(taught(near))
        user = Matching(embedding(near(0, 0.1, 1)[0]))
        live = LearnedTargets(
            tmp_path / "l.sqlite", (make_target("mine", learned="rods"),), lambda _: None, (user,), lambda: SPACE
        )
        (store.directory / "balls-001.json").write_bytes(b"{")
        live.tick(10.0)
        assert len(user.found[-1]) == 1
        store.forget("rods")
        live.tick(20.0)
        assert user.found[-1] == ()

    def test_a_version_in_use_that_cannot_be_read_any_more_is_not_replaced_by_an_older_one(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        store = TargetStore(tmp_path / "l.sqlite")
        never = replace(taught(near), head=replace(taught(near).head, threshold=99.0))
        store.keep(never)
        path = store.keep(taught(near, version=2))
        user = Matching(embedding(near(0, 0.1, 1)[0]))
        live = LearnedTargets(
            tmp_path / "l.sqlite", (make_target("mine", learned="rods"),), lambda _: None, (user,), lambda: SPACE
        )
        path.write_bytes(b"{")
        live.tick(10.0)
        assert len(user.found[-1]) == 1

    def test_a_broken_file_hinders_no_command(self, near: Callable[..., Any], tmp_path: Path) -> None:
        store = TargetStore(tmp_path / "l.sqlite")
        store.keep(taught(near))
        (store.directory / "zz-001.json").write_bytes(b"{")
        assert store.names() == ["rods"]
        store.keep(taught(near, version=store.next_version("rods")))
        assert (store.get("rods").version, store.forget("rods")) == (2, 2)

    def test_a_target_with_too_few_weights_is_met_by_nothing(self, near: Callable[..., Any]) -> None:
        head = replace(taught(near).head, weights=np.ones(5, np.float32))
        met, sentence = head.judge(embedding(near(0)[0]))
        assert not met
        assert "learn it again" in sentence

    def test_what_does_not_work_is_told_once_and_again_after_a_reload_or_with_another_model(
        self, near: Callable[..., Any], tmp_path: Path
    ) -> None:
        path, told, space = tmp_path / "l.sqlite", [], [SPACE]
        TargetStore(path).keep(taught(near))
        wanted = (make_target("mine", learned="rods"), make_target("lost", learned="spheres"), make_target("plain"))
        live = LearnedTargets(path, wanted, told.append, (), lambda: space[0])
        live.tick(10.0)
        assert [each.text.split(",")[0] for each in told] == [
            "target 'lost': no learned target is called 'spheres' (there are: rods)"
        ]
        live.exchange(wanted)
        assert len(told) == 2
        space[0] = OTHER
        live.tick(13.0)
        assert "target 'mine': 'rods' was learned with another backbone" in told[2].text
        assert len(told) == 3

    @pytest.mark.parametrize(
        ("changes", "space", "words"),
        [
            ({}, SPACE, ""),
            ({}, OTHER, "another backbone"),
            ({}, None, "makes no embeddings"),
            ({"examples": ()}, SPACE, "holds no example"),
            ({"name": "other"}, SPACE, "there are: other"),
        ],
    )
    def test_what_will_not_work_is_said_beforehand(
        self, changes: dict[str, Any], space: EmbeddingSpace | None, words: str, near: Callable[..., Any]
    ) -> None:
        learned = replace(taught(near), **changes)
        found = list(doubts([make_target("mine", learned="rods")], {learned.name: learned}, space))
        assert len(found) == bool(words)
        assert words in "".join(found)

    @pytest.mark.parametrize(("space", "words"), [(OTHER, "another backbone"), (None, "no embedding")])
    def test_what_cannot_be_compared_is_no_match_and_says_why(
        self, space: EmbeddingSpace | None, words: str, near: Callable[..., Any]
    ) -> None:
        head, row = taught(near).head, near(0, 0.1, 1)[0]
        met, sentence = head.judge(None if space is None else embedding(row, space))
        assert not met
        assert words in sentence
