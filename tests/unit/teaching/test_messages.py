"""What somebody is told who teaches or asks with the wrong frames, names and files; the model is a stand-in."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from emwatch.classify.classifier import STUB_SPACE
from emwatch.config.schema import Config
from emwatch.errors import TargetError
from emwatch.frame import Embedding, Review, ReviewVerdict
from emwatch.ledger.writer import Ledger
from emwatch.simulate.microscope import Microscope
from emwatch.teaching.explain import explain_frames
from emwatch.teaching.store import TargetStore
from emwatch.teaching.targets import learn, refine
from emwatch.testing import NOON, make_outcome, make_prediction

if TYPE_CHECKING:
    from pathlib import Path

    from emwatch.frame import Outcome


@pytest.fixture(name="acq", scope="module")
def _acq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five frames, a copy of the first, and things that are none."""
    folder = tmp_path_factory.mktemp("acq")
    list(Microscope(folder, 5, rate=0, seed=1, width=256, height=192).run())
    whole = (folder / "frame_0001.tif").read_bytes()
    (folder / "copy.tif").write_bytes(whole)
    (folder / "cut.tif").write_bytes(whole[:3000])
    (folder / "empty.tif").write_bytes(b"")
    (folder / "notes.txt").write_text("the third one is nice\n", "utf-8")
    return folder


@pytest.fixture(name="config")
def _config(acq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A ledger with the first frame as number 1, and a skipped file as number 2; the folder is the current one."""
    monkeypatch.chdir(acq)
    with Ledger(tmp_path / "l.sqlite") as ledger:
        ledger.record(_of_file(acq / "frame_0001.tif"), NOON)
    return Config.model_validate(
        {
            "ledger": {"path": tmp_path / "l.sqlite"},
            "model": {"engine": "stub"},
            "targets": ({"name": "mine", "learned": "rods"},),
        }
    )


def _of_file(path: Path, **changes: Any) -> Outcome:
    """Return the outcome of a file as it is now."""
    return make_outcome(path, path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), **changes)


FIRST, SECOND, THIRD = (f"frame_000{number}.tif" for number in (1, 2, 3))
#: What is wrong: the examples, what is not meant, the name, and what must be said.
WRONG = {
    "a file that is not there": ([FIRST, "gone.tif"], [], "rods", ("gone.tif: there is no such file", "by the number")),
    "not meant, not there": ([FIRST, SECOND], ["gone.tif"], "rods", ("gone.tif: there is no such file",)),
    "a number that the log lacks": (
        [FIRST, "77"],
        [],
        "rods",
        ("77: no recorded frame has this number", "emwatch log"),
    ),
    "a single example": ([FIRST], [], "rods", ("only one frame shows the target", FIRST, "at least two different")),
    "one example twice": ([FIRST, f"./{FIRST}"], [], "rods", ("only one frame shows the target",)),
    "an example and its number": ([FIRST, "1"], [], "rods", ("only one frame shows the target",)),
    "an example and its copy": ([FIRST, "copy.tif"], [], "rods", ("only one frame shows the target",)),
    "nothing but what is not meant": ([], [FIRST], "rods", ("only one frame shows the target (none)",)),
    "on both sides": ([FIRST, SECOND, THIRD], [FIRST], "rods", (FIRST, "stands on both sides", "--not")),
    "on both sides, by number": ([FIRST, SECOND, THIRD], ["1"], "rods", (FIRST, "stands on both sides")),
    "a copy on the other side": ([FIRST, SECOND, THIRD], ["copy.tif"], "rods", ("copy.tif", "stands on both sides")),
    "a text": (
        [FIRST, "notes.txt"],
        [],
        "rods",
        ("notes.txt: starts with the text", "expected a TIFF", "by the number"),
    ),
    "a folder": ([FIRST, "."], [], "rods", ("is a directory; expected an image file",)),
    "a file without bytes": ([FIRST, "empty.tif"], [], "rods", ("empty.tif: has no bytes",)),
    "a frame that ends early": ([FIRST, "cut.tif"], [], "rods", ("cut.tif: 3000 bytes",)),
    "no text at all": ([FIRST, ""], [], "rods", ("the name of a frame is empty",)),
    "no name": ([FIRST, SECOND], [], "", ("'' cannot be the name of a target", "1 to 80 characters")),
    "a name of two lines": ([FIRST, SECOND], [], "a\nb", ("cannot be the name of a target",)),
    "a name of bytes that are no text": (
        [FIRST, SECOND],
        [],
        "a\udcff",
        ("'a\\udcff' cannot be the name of a target",),
    ),
    "a long name": ([FIRST, SECOND], [], "a" * 81, ("cannot be the name of a target",)),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_lesson_that_makes_no_sense_is_refused_with_what_is_wrong_and_nothing_is_written(
    wrong: str, config: Config
) -> None:
    wanted, unwanted, name, words = WRONG[wrong]

    with pytest.raises(TargetError) as refused:
        learn(config, name, wanted, unwanted, NOON)

    assert [each for each in words if each not in str(refused.value)] == []
    assert not TargetStore(config.ledger.path).directory.exists()


def test_frames_are_files_and_numbers_of_the_log(config: Config) -> None:
    lesson = learn(config, "rods", ["1", SECOND], [THIRD], NOON)

    assert [each.path.rsplit("/", 1)[1] for each in lesson.target.examples] == [FIRST, SECOND, THIRD]
    assert "only 2 examples: five or more make the estimate worth something" in lesson.warnings


@pytest.mark.parametrize("kept", [True, False])
def test_a_number_means_the_recorded_frame_though_its_file_holds_another_one_now(
    config: Config, acq: Path, tmp_path: Path, kept: bool
) -> None:
    path = tmp_path / "series.tif"
    shutil.copy(acq / SECOND, path)
    stored = Embedding(STUB_SPACE, bytes(range(STUB_SPACE.width)))
    said = make_prediction(embedding=stored if kept else None)
    with Ledger(config.ledger.path) as ledger:
        number = ledger.record(_of_file(path, targets=("mine",), prediction=said), NOON).frame_id
        ledger.add_reviews([Review(number, ReviewVerdict.CONFIRM, "Tips", "me", NOON)])
    learn(config, "rods", [FIRST, THIRD], [], NOON)
    shutil.copy(acq / "frame_0004.tif", path)
    overwritten = f"frame {number}: .*series.tif was overwritten since"

    with pytest.raises(TargetError, match=overwritten):
        explain_frames(config, [str(number)])
    assert explain_frames(config, [str(path)])
    if kept:
        [*_, example] = refine(config, "rods", NOON).target.examples
        assert example.views == (stored.values,)
    else:
        for lesson in (lambda: refine(config, "rods", NOON), lambda: learn(config, "rods", [FIRST, number], [], NOON)):
            with pytest.raises(TargetError, match=overwritten):
                lesson()


def test_a_test_of_what_is_no_frame_says_so_by_name(config: Config) -> None:
    for name, words in (("gone.tif", "there is no such file"), ("notes.txt", "expected a TIFF"), ("77", "emwatch log")):
        with pytest.raises(TargetError, match=words):
            explain_frames(config, [FIRST, name])


def test_a_target_of_another_backbone_is_not_refined_with_what_this_one_sees(config: Config) -> None:
    store, target = TargetStore(config.ledger.path), learn(config, "rods", [FIRST, SECOND], [], NOON).target
    store.keep(replace(target, version=2, head=replace(target.head, space_sha256="0" * 64)))

    with pytest.raises(TargetError, match=r"another backbone.*learn it again"):
        refine(config, "rods", NOON)


def test_a_match_whose_category_was_corrected_is_no_counterexample(config: Config, acq: Path) -> None:
    learn(config, "rods", [SECOND, THIRD], [], NOON)
    hits = {}
    with Ledger(config.ledger.path) as ledger:
        for number in (4, 5):
            path = acq / f"frame_000{number}.tif"
            hits[number] = ledger.record(_of_file(path, targets=("mine",)), NOON).frame_id
        ledger.add_reviews([Review(hits[4], ReviewVerdict.RELABEL, "Tips", "me", NOON)])
    with pytest.raises(TargetError, match="confirmed or rejected since"):
        refine(config, "rods", NOON)
    with Ledger(config.ledger.path) as ledger:
        ledger.add_reviews([Review(hits[5], ReviewVerdict.CONFIRM, "Tips", "me", NOON)])

    lesson = refine(config, "rods", NOON)

    assert [each.wanted for each in lesson.target.examples] == [True, True, True]
    assert any(f"not learned from frames {hits[4]}:" in each for each in lesson.warnings)


def test_targets_with_like_names_do_not_replace_each_other(config: Config) -> None:
    store, target = TargetStore(config.ledger.path), learn(config, "rods", [FIRST, SECOND], [], NOON, keep=False).target
    names = ["gold rods", "gold-rods", "Rods", "rods", "target", "纳米", "金", "鉄", "a" * 70, "a" * 71]
    for name in names:
        store.keep(replace(target, name=name))

    assert store.names() == sorted(names)
    assert [store.forget(name) for name in names] == [1] * len(names)


def test_what_is_no_exported_target_is_refused_with_what_was_expected(config: Config, tmp_path: Path) -> None:
    store = TargetStore(config.ledger.path)
    shutil.copy(FIRST, tmp_path / "frame.json")
    for name, words in (
        ("nothing.json", "No such file or directory; expected a file that 'emwatch target export' wrote"),
        ("frame.json", "expected a file that 'emwatch target export' wrote"),
        (".", "is not a regular file; expected a file"),
    ):
        with pytest.raises(TargetError, match=words):
            store.take(tmp_path / name)
    assert not store.directory.exists()
