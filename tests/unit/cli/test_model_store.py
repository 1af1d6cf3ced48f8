from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner, Result

from emwatch.classify.bundles.bundle import default_directory
from emwatch.cli.main import cli
from tests.bundles import make_bundle_like_default

if TYPE_CHECKING:
    from collections.abc import Callable

    Emwatch = Callable[..., Result]


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Emwatch:
    """``emwatch model`` with a ledger of its own, in this process."""

    def run(*arguments: str | Path) -> Result:
        words = [str(each) for each in arguments]
        return CliRunner().invoke(cli, ["model", *words, "--ledger", str(tmp_path / "ledger.sqlite3")])

    return run


def test_a_better_bundle_is_activated_listed_and_rolled_back(model: Emwatch, tmp_path: Path) -> None:
    better = make_bundle_like_default(tmp_path, "better", balanced_accuracy=0.99)

    activated = model("activate", better)
    listed = json.loads(model("list", "--json").stdout)

    assert activated.exit_code == 0, activated.output
    assert "in use: better" in activated.stdout
    assert "balanced accuracy by source 0.990, that of the model in use 0." in activated.stdout
    assert [(each["name"], each["in_use"], each["balanced_accuracy"]) for each in listed["bundles"]][1:] == [
        ("better", True, 0.99)
    ]
    assert Path(listed["bundles"][1]["directory"]).parent == tmp_path / "models"
    assert json.loads(model("info", "--json").stdout)["name"] == "better"

    assert "in use: default" in model("rollback").stdout
    assert "*       default" in model("list").stdout


def test_the_shipped_bundle_is_listed_once_although_a_copy_is_kept(model: Emwatch, tmp_path: Path) -> None:
    shipped = default_directory()
    kept = tmp_path / "models" / json.loads(model("import", shipped, "--json").stdout)["directory"]

    (listed,) = json.loads(model("list", "--json").stdout)["bundles"]
    assert (listed["in_use"], listed["directory"], listed["copies"]) == (True, str(shipped), [str(kept)])
    (_title, row) = model("list").stdout.splitlines()
    assert row.endswith(f"comes with emwatch; also {kept.name}")

    model("activate", kept.name)
    (listed,) = json.loads(model("list", "--json").stdout)["bundles"]
    assert (listed["in_use"], listed["directory"], listed["copies"]) == (True, str(kept), [str(shipped)])


def test_a_worse_bundle_needs_force(model: Emwatch, tmp_path: Path) -> None:
    worse = make_bundle_like_default(tmp_path, "worse", balanced_accuracy=0.11)

    refused = model("activate", worse)

    assert refused.exit_code == 1
    assert "is worse: balanced accuracy by source 0.110" in refused.stderr
    assert "--force" in refused.stderr
    assert not (tmp_path / "models").exists()
    assert "in use: worse" in model("activate", worse, "--force").stdout


def test_a_bundle_whose_figures_cannot_be_compared_needs_a_comparison_or_force(model: Emwatch, tmp_path: Path) -> None:
    other = make_bundle_like_default(tmp_path, "other", balanced_accuracy=0.99, protocol="a random split")

    refused = model("activate", other)

    assert refused.exit_code == 1
    assert "other frames or another protocol" in refused.stderr
    assert "emwatch model compare" in refused.stderr
    assert model("activate", other, "--force").exit_code == 0


def test_a_damaged_bundle_is_never_active_even_by_force(model: Emwatch, tmp_path: Path) -> None:
    damaged = make_bundle_like_default(tmp_path, "damaged")
    with (damaged / "backbone.tflite").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"x")

    refused = model("activate", damaged, "--force")

    assert refused.exit_code == 1
    assert "backbone.tflite is not the file the card was made for" in refused.stderr
    assert json.loads(model("list", "--json").stdout)["bundles"][0]["in_use"] is True


def test_a_bundle_that_fails_its_self_test_is_never_active_even_by_force(model: Emwatch, tmp_path: Path) -> None:
    wrong = make_bundle_like_default(tmp_path, "wrong")
    card = yaml.safe_load((wrong / "card.yaml").read_text(encoding="utf-8"))
    card["self_test"]["scores"].reverse()
    (wrong / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")

    for command in ("activate", "import"):
        refused = model(command, wrong, *(["--force"] if command == "activate" else []))
        assert refused.exit_code == 1
        assert "fails its self-test" in refused.stderr
    assert len(json.loads(model("list", "--json").stdout)["bundles"]) == 1


def test_export_and_import_carry_a_bundle_to_another_machine(model: Emwatch, tmp_path: Path) -> None:
    bundle = make_bundle_like_default(tmp_path, "carried")
    archive = tmp_path / "carried.zip"

    exported = json.loads(model("export", bundle, "--out", archive, "--json").stdout)
    imported = json.loads(model("import", archive, "--json").stdout)

    assert imported["sha256"] == exported["bundle_sha256"]
    assert imported["in_use"] is False
    assert "SHA256SUMS" in zipfile.ZipFile(archive).namelist()
    assert model("verify", "carried").exit_code == 0


def test_a_configured_bundle_is_told_by_list_and_activate(model: Emwatch, tmp_path: Path) -> None:
    configured = make_bundle_like_default(tmp_path, "configured")
    config = tmp_path / "config.yaml"
    config.write_text(f"model: {{bundle: {configured}}}\n", encoding="utf-8")

    listed, activated = model("list", "--config", config), model("activate", "default", "--config", config)

    assert "*       configured" in listed.stdout
    for result in (listed, activated):
        assert f"model.bundle is {configured} ({config}:1:" in result.stderr
        assert "that one is in use, whatever is activated" in result.stderr


def test_a_pointer_that_is_none_stops_everything_but_the_way_out(model: Emwatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "active.json").write_text("nonsense", encoding="utf-8")

    for command in (["list"], ["info"], ["rollback"]):
        told = model(*command)
        assert told.exit_code == 1
        assert "active.json cannot be understood" in told.stderr
        assert "'emwatch model activate NAME' writes it anew" in told.stderr
    assert model("activate", "default").exit_code == 0
    assert model("list").exit_code == 0


def test_a_sum_is_asked_of_a_file_and_held_against_it(model: Emwatch, tmp_path: Path) -> None:
    bundle = make_bundle_like_default(tmp_path, "summed")
    archive = tmp_path / "summed.zip"
    told = json.loads(model("export", bundle, "--out", archive, "--json").stdout)

    assert "is not the file that was meant" in model("import", archive, "--sha256", "0" * 64).stderr
    assert model("import", archive, "--sha256", told["sha256"].upper()).exit_code == 0
    assert model("import", bundle, "--sha256", told["sha256"]).exit_code == 2
    assert model("import", archive, "--name", "other").exit_code == 2


def test_an_unreadable_bundle_is_listed_with_the_reason(model: Emwatch, tmp_path: Path) -> None:
    model("import", make_bundle_like_default(tmp_path, "spoilt"))
    [kept] = [each for each in (tmp_path / "models").iterdir() if each.is_dir()]
    (kept / "card.yaml").write_text("- nothing", encoding="utf-8")

    listed = model("list")

    assert listed.exit_code == 0
    assert f"!       {kept.name}" in listed.stdout
    assert "cannot be used" in listed.stderr
    assert "holds no mapping" in listed.stderr


@pytest.fixture(name="labelled", scope="module")
def _labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn frame of three categories from each of five sources, filed by category."""
    from PIL import Image

    from emwatch.frame import CATEGORIES
    from emwatch.train.heads.drawn import drawn_frames

    directory = tmp_path_factory.mktemp("labelled")
    for number, frame in enumerate(drawn_frames(5, 3)[:15]):
        folder = directory / CATEGORIES[frame.category] / f"source-{number % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame.draw(256)).save(folder / f"{number}.png")
    return directory


def test_a_comparison_on_labelled_frames_decides_where_the_cards_cannot(
    model: Emwatch, tmp_path: Path, labelled: Path
) -> None:
    other = make_bundle_like_default(tmp_path, "other", protocol="a random split")
    assert model("activate", other).exit_code == 1

    compared = model("compare", "default", other, labelled, "--json")
    document = json.loads(compared.stdout)

    assert compared.exit_code == 0
    assert document["frames"] == 15
    assert document["difference"]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert document["paired"]["only_first_right"] == document["paired"]["only_second_right"] == 0
    activated = model("activate", other)
    assert activated.exit_code == 0, activated.stderr
    assert f"on 15 frames of {labelled}" in activated.stdout


def test_one_that_is_worse_on_labelled_frames_is_refused(model: Emwatch, tmp_path: Path, labelled: Path) -> None:
    import numpy as np

    from emwatch.classify.head import Head
    from emwatch.train.network.bundle_files import sha256

    other = make_bundle_like_default(tmp_path, "other", protocol="a random split")
    card = yaml.safe_load((other / "card.yaml").read_text(encoding="utf-8"))
    head = Head.from_bytes((other / "head.npz").read_bytes(), 18848, "head.npz")
    mirrored = Head(head.weights[:, ::-1].copy(), head.bias[::-1].copy(), head.early_weights[:, ::-1].copy(), 1.0)
    (other / "head.npz").write_bytes(mirrored.to_bytes())
    card["files"]["head.npz"]["sha256"] = sha256(mirrored.to_bytes())
    from emwatch.classify.backbone import LiteRtEngine
    from emwatch.classify.classifier import golden_drawing
    from emwatch.classify.preprocess import prepare

    engine = LiteRtEngine((other / "backbone.tflite").read_bytes(), 18848, 1, other)
    scores = mirrored.probabilities(engine.embed(prepare(golden_drawing())).mean(axis=0))
    card["self_test"]["scores"] = [float(np.clip(each, 0, 1)) for each in scores]
    (other / "card.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")

    told = model("compare", other, "default", labelled)
    refused = model("activate", other)

    assert "only default" in told.stdout
    assert "default is better, more than chance among the sources" in told.stdout
    assert refused.exit_code == 1
    assert "other" in refused.stderr
    assert "is worse: balanced accuracy 0." in refused.stderr
    assert "on 15 frames of" in refused.stderr
    assert "that is more than chance among the sources" in refused.stderr


def test_cards_are_laid_side_by_side(model: Emwatch, tmp_path: Path) -> None:
    better = make_bundle_like_default(tmp_path, "better", balanced_accuracy=0.99)

    laid = model("compare", "default", better, "--cards")

    assert "better is better: balanced accuracy by source 0.990" in laid.stdout
    assert model("compare", "default", better).exit_code == 2
    assert json.loads(model("compare", better, "default", "--cards", "--json").stdout)["second"] == "worse"
