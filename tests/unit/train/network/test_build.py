"""The whole way from labelled frames to a bundle that loads, with few drawn frames."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from emwatch.classify.backbone import imagenet_weights_path
from emwatch.classify.bundles.bundle import BACKBONE, HEAD, default_directory
from emwatch.classify.classifier import Classifier
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.simulate.painter import draw_frame
from emwatch.train.network.build import BuildOrder, build
from emwatch.train.network.bundle_files import write_bundle
from emwatch.train.network.imagenet import _only_member


def _quiet(line: str) -> None:
    del line


@pytest.fixture(name="few_frames")
def _few_frames(tmp_path: Path) -> Path:
    """Three drawn frames of each category, in a folder for each."""
    directory = tmp_path / "frames"
    for name in CATEGORIES:
        (directory / name).mkdir(parents=True)
        for seed in range(3):
            Image.fromarray(draw_frame(name, seed, 256, 192).pixels).save(directory / name / f"{seed}.png")
    return directory


@pytest.fixture(name="out")
def _out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMWATCH_EMBEDDINGS", str(tmp_path / "cache"))
    return tmp_path / "bundle"


def test_a_head_for_another_backbone_is_refused_before_anything_is_computed(few_frames: Path, out: Path) -> None:
    shutil.copytree(default_directory(), out)
    card = yaml.safe_load((out / "card.yaml").read_text(encoding="utf-8"))
    card["backbone"]["outputs"] = [{"name": "average", "width": 2048}]
    (out / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    order = BuildOrder(frames=few_frames, out=out, drawn_per_category=0, head_only=True)

    with pytest.raises(ModelError, match=r"backbone.tflite takes and gives .*18848.*the card says .*2048"):
        build(order, _quiet)
    with (out / "backbone.tflite").open("r+b") as file:
        file.write(b"another")
    with pytest.raises(ModelError, match=r"backbone.tflite is not the file the card was made for"):
        build(order, _quiet)


@pytest.mark.timeout(600)  # trains on what taught the shipped head
@pytest.mark.train
def test_a_head_only_build_keeps_the_backbone_and_makes_the_same_bundle_that_classifies_each_time(
    few_frames: Path, out: Path
) -> None:
    shutil.copytree(default_directory(), out)
    before = (out / "backbone.tflite").read_bytes()
    order = BuildOrder(frames=few_frames, out=out, drawn_per_category=1, head_only=True)

    made, again = build(order, _quiet), build(order, _quiet)

    assert made.sha256 == again.sha256
    assert before == (out / "backbone.tflite").read_bytes()
    assert (made.card["training"]["real_frames"], made.card["training"]["drawn_frames_per_category"]) == (30, 1)
    classifier = Classifier.load(out, threads=1)
    learned = draw_frame("Patterned_surface", 1, 256, 192)
    assert classifier.classify(prepare(learned.pixels)).category == "Patterned_surface"


@pytest.mark.timeout(600)  # trains on what taught the shipped head
@pytest.mark.train
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own, with numpy 2
def test_a_full_build_from_kept_weights_makes_a_bundle_close_to_keras(few_frames: Path, out: Path) -> None:
    if not imagenet_weights_path().is_file():
        pytest.skip(f"needs {imagenet_weights_path()}, which 'emwatch model build' writes")
    order = BuildOrder(frames=few_frames, out=out, weights=imagenet_weights_path(), drawn_per_category=0)

    made = build(order, _quiet)

    assert made.card["backbone"]["parameters_with_softmax_head"] == 20_881_970
    assert made.card["backbone"]["agreement_with_keras"]["whole"]["cosine_median"] > 0.999


@pytest.mark.train
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path: Path, few_frames: Path, out: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"no HDF5")

    with pytest.raises(ModelError, match=r"weights\.h5 holds no weights of Xception"):
        build(BuildOrder(frames=few_frames, out=out, weights=tmp_path / "weights.h5"), _quiet)


def test_a_bundle_that_fails_its_test_leaves_the_old_one_as_it_was(tmp_path: Path) -> None:
    out = Path(shutil.copytree(default_directory(), tmp_path / "bundle"))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    card = Classifier.load(out, threads=1).bundle

    assert card is not None
    with pytest.raises(ModelError, match="head"):
        write_bundle(out, {BACKBONE: card.backbone, HEAD: b"no head"}, card.card)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}


def _archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file.getvalue()


def test_the_one_member_of_an_archive_is_read_without_unpacking() -> None:
    assert _only_member(_archive("a/b.keras", "c.txt"), ".keras", "x.whl") == b"a/b.keras"


@pytest.mark.parametrize("names", [("c.txt",), ("a.keras", "b.keras")])
def test_an_archive_with_no_or_two_such_members_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"x\.whl has [02] members"):
        _only_member(_archive(*names), ".keras", "x.whl")
