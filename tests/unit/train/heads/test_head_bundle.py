"""A head on the backbone there is: taught and judged in one process without TensorFlow, and refused what contradicts itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from PIL import Image

from emwatch.classify.bundles.bundle import default_directory, read_card
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.errors import DatasetError, ModelError
from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import draw_frame
from emwatch.train.dataset.labelled import labelled_frames, open_dataset
from emwatch.train.heads import head_bundle
from emwatch.train.heads.head_bundle import HeadOrder, train_heads
from emwatch.train.heads.lessons import taught_sha256
from emwatch.train.heads.projecting import fitted_projection

if TYPE_CHECKING:
    from emwatch.train.dataset.labelled import LabelledFrame


def _quiet(line: str) -> None:
    del line


@pytest.fixture(name="drawn", scope="module")
def _drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn frames of each category, each in a session's folder of its own."""
    directory = tmp_path_factory.mktemp("drawn")
    for name in CATEGORIES:
        for seed in range(2):
            folder = directory / name / f"session {seed}"
            folder.mkdir(parents=True)
            Image.fromarray(draw_frame(name, seed, 256, 192).pixels).save(folder / "frame.png")
    return directory


@pytest.fixture(name="few_frames")
def _few_frames(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMWATCH_EMBEDDINGS", str(tmp_path / "cache"))
    return Path(shutil.copytree(drawn, tmp_path / "frames"))


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
def test_a_head_is_taught_without_tensorflow_and_without_anything_of_the_extras(
    few_frames: Path, tmp_path: Path
) -> None:
    program = (
        "import sys\n"
        "from emwatch.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end\n"
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, "train", "heads", str(few_frames), "--alone", "--drawn", "1", "--json"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "made")], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    answer = json.loads(done.stdout)

    assert done.stderr.splitlines()[-1] == "[]"
    assert (answer["card"]["training"]["real_frames"], answer["card"]["name"]) == (20, "made")
    classifier = Classifier.load(tmp_path / "made", threads=1)
    assert answer["sha256"] == classifier.bundle_sha256
    learned = classifier.classify(prepare(draw_frame("Patterned_surface", 1, 256, 192).pixels))
    assert (learned.category, learned.novelty is not None) == ("Patterned_surface", True)


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
def test_the_same_order_makes_the_same_bundle_and_keeps_the_backbone(few_frames: Path, tmp_path: Path) -> None:
    frames = labelled_frames(few_frames)
    made = [
        train_heads(
            HeadOrder(default_directory(), tmp_path / name, "x", drawn_per_category=1, alone=True), frames, _quiet
        )
        for name in ("one", "two")
    ]

    assert made[0].sha256 == made[1].sha256
    assert made[0].backbone == (default_directory() / "backbone.tflite").read_bytes()


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
def test_the_card_says_which_frames_judged_it_as_what_wherever_they_lie(few_frames: Path, tmp_path: Path) -> None:
    def judged(frames: list[LabelledFrame]) -> str:
        order = HeadOrder(default_directory(), tmp_path / "made", drawn_per_category=1, alone=True)
        return str(train_heads(order, frames, _quiet).card["metrics"]["frames_sha256"])

    first = judged(labelled_frames(few_frames))
    moved = shutil.move(few_frames, tmp_path / "moved")
    frames = labelled_frames(Path(moved))
    corrected = [replace(frames[0], category=frames[-1].category), *frames[1:]]

    assert judged(frames[::-1]) == first
    assert judged(corrected) != first


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("learned_from", "told"),
    [
        ([{"source": "session 1", "licence": "MIT", "frames": 9}], "has learned from sources of 10 of these 20 frames"),
        ("not known", "was trained further on frames whose sources are not known"),
    ],
)
def test_a_head_on_a_backbone_that_was_trained_further_does_not_claim_to_be_judged_by_new_sources(
    learned_from: object, told: str, few_frames: Path, tmp_path: Path
) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(default_directory(), tuned)
    card = yaml.safe_load((tuned / "card.yaml").read_text(encoding="utf-8"))
    card["backbone"]["learned_from"] = learned_from
    (tuned / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    said: list[str] = []

    made = train_heads(
        HeadOrder(tuned, tmp_path / "made", drawn_per_category=1, alone=True), labelled_frames(few_frames), said.append
    ).card

    assert [line for line in said if line.startswith("warning:")] == [
        f"warning: the backbone {told}: figures on such frames flatter"
    ]
    assert made["backbone"]["learned_from"] == learned_from
    assert "the backbone was trained further" in made["metrics"]["protocol"]


def test_one_picture_under_two_categories_is_refused_before_anything_is_embedded(
    few_frames: Path, tmp_path: Path
) -> None:
    shutil.copy(few_frames / "Tips" / "session 0" / "frame.png", few_frames / "Powder" / "session 0" / "copy.png")

    with pytest.raises(DatasetError, match=r"copy\.png as Powder, .*frame\.png as Tips"):
        train_heads(HeadOrder(default_directory(), tmp_path / "made"), labelled_frames(few_frames), _quiet)
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "cache").exists()


def test_a_frame_that_cannot_be_read_is_named(few_frames: Path, tmp_path: Path) -> None:
    (few_frames / "Tips" / "session 0" / "frame.png").write_bytes(b"no picture")

    with pytest.raises(DatasetError, match=r"frame\.png cannot be read"):
        train_heads(HeadOrder(default_directory(), tmp_path / "made"), labelled_frames(few_frames), _quiet)


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
def test_frames_of_a_single_source_teach_but_cannot_be_judged_by_their_own(few_frames: Path, tmp_path: Path) -> None:
    rows = [
        f"{path.relative_to(few_frames).as_posix()}\t{path.parts[-3]}\tthe one lab"
        for path in sorted(few_frames.rglob("*.png"))
    ]
    (few_frames / "labels.tsv").write_text("\n".join(["file\tcategory\tsource", *rows]) + "\n", encoding="utf-8")
    order = HeadOrder(default_directory(), tmp_path / "made", drawn_per_category=1, alone=True)
    made = train_heads(order, labelled_frames(few_frames), _quiet)

    assert (made.card["metrics"]["sources"], made.card["training"]["real_frames"]) == (1, 20)
    assert np.isfinite(made.card["metrics"]["without_bar"]["ece_after"])


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("most_rows", "learned_from"), [(10, "compact vectors"), (10_000, "whole embeddings")])
def test_too_many_frames_for_products_between_them_teach_as_compact_vectors_and_open_ones_are_judged_apart(
    most_rows: int, learned_from: str, few_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_bundle, "MOST_ROWS", most_rows)
    rows = [
        f"{path.relative_to(few_frames).as_posix()}\t{path.parts[-3]}\t{path.parts[-2]}\tyes\t{'yes' if '0' in path.parts[-2] else 'no'}"
        for path in sorted(few_frames.rglob("*.png"))
    ]
    head = "file\tcategory\tsource\tmay_teach\topen_licence"
    (few_frames / "labels.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    order = HeadOrder(default_directory(), tmp_path / "made", drawn_per_category=1, alone=True)
    card = train_heads(order, labelled_frames(few_frames), _quiet).card

    assert (card["training"]["learned_from"], card["training"]["real_frames"]) == (learned_from, 20)
    assert card["metrics"]["open_only"]["real_frames"] == 10
    assert 0 <= card["metrics"]["open_only"]["without_bar"]["balanced_accuracy"] <= 1
    learned = Classifier.load(tmp_path / "made").classify(prepare(draw_frame("Patterned_surface", 1, 256, 192).pixels))
    assert learned.category == "Patterned_surface"


@pytest.mark.slow  # trains a head: half a minute
@pytest.mark.timeout(600)
def test_frames_of_two_categories_teach_beside_what_taught_the_shipped_head(few_frames: Path, tmp_path: Path) -> None:
    frames = [frame for frame in open_dataset(few_frames) if CATEGORIES[frame.category] in {"Tips", "Powder"}]
    shipped, _ = read_card(default_directory())

    made = train_heads(HeadOrder(default_directory(), tmp_path / "made"), frames, _quiet)

    training = made.card["training"]
    assert training["own_frames"] == 4
    assert training["real_frames"] == shipped["training"]["real_frames"] + 4
    assert training["drawn_frames_per_category"] == shipped["training"]["drawn_frames_per_category"]
    own = {each["source"] for each in training["sources"]} - {each["source"] for each in shipped["training"]["sources"]}
    assert own == {"session 0", "session 1"}
    sha256 = {hashlib.sha256(frame.path.read_bytes()).hexdigest() for frame in frames}
    assert sha256 <= taught_sha256(tmp_path / "made")
    assert not sha256 & taught_sha256(default_directory())


def test_lessons_of_a_backbone_of_other_depths_are_refused(few_frames: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(default_directory(), other)
    content = fitted_projection(np.random.default_rng(0).normal(size=(30, 4056)).astype(np.float32)).to_bytes()
    (other / "projection.npz").write_bytes(content)
    card = yaml.safe_load((other / "card.yaml").read_text(encoding="utf-8"))
    card["files"]["projection.npz"]["sha256"] = hashlib.sha256(content).hexdigest()
    (other / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")

    with pytest.raises(ModelError, match=r"projection\.npz has arrays .*belongs to a backbone of other depths"):
        train_heads(HeadOrder(other, tmp_path / "made"), labelled_frames(few_frames), _quiet)


def test_a_place_that_takes_no_bundle_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    order = HeadOrder(backbone=default_directory(), out=tmp_path / "file" / "made", name="made")
    told: list[str] = []

    with pytest.raises(NotADirectoryError, match="/file'"):
        train_heads(order, [], told.append)
    assert told == []
