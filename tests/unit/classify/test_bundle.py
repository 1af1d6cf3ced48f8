from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml

from emwatch.classify.bundles.bundle import EXTRAS, Bundle, default_directory, identity, parse_card
from emwatch.errors import ModelError


def test_a_whole_bundle_opens_with_its_facts(bundle_directory: Path) -> None:
    bundle = Bundle.open(bundle_directory)

    assert (
        bundle.name,
        bundle.features,
        bundle.uncertain_below,
        bundle.backbone,
    ) == ("test", 3072, 0.4, b"no graph, only bytes")


def test_opening_takes_no_memory_for_what_only_teaches() -> None:
    directory = default_directory()
    kept = sum(each.stat().st_size for each in directory.iterdir() if each.name not in EXTRAS)

    tracemalloc.start()
    try:
        Bundle.open(directory)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < kept + 4 * 1024**2


@pytest.mark.parametrize("name", EXTRAS)
def test_what_only_teaches_is_verified_as_well(tmp_path: Path, name: str) -> None:
    directory = Path(shutil.copytree(default_directory(), tmp_path / "bundle"))
    with (directory / name).open("ab") as file:
        file.write(b"!")

    with pytest.raises(ModelError, match=rf"{name} is not the file.*found [0-9a-f]{{64}}"):
        Bundle.open(directory)


@pytest.mark.parametrize("name", ["card.yaml", "backbone.tflite", "head.npz"])
def test_a_missing_file_is_named(bundle_directory: Path, name: str) -> None:
    (bundle_directory / name).unlink()

    with pytest.raises(ModelError, match=name):
        Bundle.open(bundle_directory)


@pytest.mark.parametrize("name", ["backbone.tflite", "head.npz"])
def test_one_changed_bit_is_refused_with_the_files_name_and_both_hashes(bundle_directory: Path, name: str) -> None:
    path = bundle_directory / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(
        ModelError, match=rf"{name} is not the file.*expected sha256 [0-9a-f]{{64}}, found [0-9a-f]{{64}}"
    ):
        Bundle.open(bundle_directory)


@pytest.mark.parametrize("name", ["backbone.tflite", "head.npz"])
def test_a_truncated_file_is_refused(bundle_directory: Path, name: str) -> None:
    os.truncate(bundle_directory / name, 10)

    with pytest.raises(ModelError, match=rf"{name}.*\(10 bytes\)"):
        Bundle.open(bundle_directory)


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
@pytest.mark.parametrize("name", ["card.yaml", "backbone.tflite", "head.npz"])
def test_a_file_that_everyone_may_change_is_refused(bundle_directory: Path, name: str) -> None:
    (bundle_directory / name).chmod(0o666)

    with pytest.raises(ModelError, match=rf"{name} may be changed by every user"):
        Bundle.open(bundle_directory)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", ["card.yaml", "backbone.tflite"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(bundle_directory: Path, name: str) -> None:
    (bundle_directory / name).unlink()
    os.mkfifo(bundle_directory / name)

    with pytest.raises(ModelError, match=rf"{name} is not a regular file"):
        Bundle.open(bundle_directory)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs O_NOFOLLOW")
def test_a_link_out_of_the_bundle_is_not_followed(bundle_directory: Path, tmp_path: Path) -> None:
    path = bundle_directory / "backbone.tflite"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ModelError, match=r"backbone.tflite cannot be opened"):
        Bundle.open(bundle_directory)


def test_a_directory_that_is_not_there_is_not_called_a_broken_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mistyped: no such directory; expected a model bundle there"):
        Bundle.open(tmp_path / "mistyped")


def test_a_card_of_absurd_size_is_refused_unparsed(bundle_directory: Path) -> None:
    with (bundle_directory / "card.yaml").open("ab") as card:
        card.write(b"#" * 300_000)

    with pytest.raises(ModelError, match=r"card.yaml is larger than"):
        Bundle.open(bundle_directory)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("format", 2, "'format' is 2, expected 1"),
        ("labels", ["Cats", "Dogs"], "'labels' is .*expected the ten categories Biological"),
        ("preprocessing", {"id": "nearest"}, "'preprocessing.id' is 'nearest', expected"),
        ("preprocessing", None, "'preprocessing.id' is missing"),
        ("backbone", {"outputs": [{"name": "average"}]}, "'backbone.outputs' is"),
        ("backbone", {"outputs": [{"name": "average", "width": -1}]}, "'backbone.outputs' is"),
        ("head", {"uncertain_below": 1.5}, "'head.uncertain_below' is 1.5, expected a number between 0 and 1"),
        ("head", {"uncertain_below": True}, "'head.uncertain_below' is True"),
        ("head", {"uncertain_below": 0.4, "uncertain_below_of": {"Dust": 0.5}}, "for some of the categories"),
        ("head", {"uncertain_below": 0.4, "uncertain_below_of": [0.5]}, "for some of the categories"),
        ("head", {"uncertain_below": 0.4, "uncertain_below_of": {"Tips": 2}}, "'head.uncertain_below_of.Tips' is 2"),
        ("head", {"uncertain_below": 0.4, "unfamiliar_above": "far"}, "'head.unfamiliar_above' is 'far'"),
        ("self_test", {"scores": [0.1] * 9, "tolerance": 0.02}, "'self_test.scores' is"),
        ("self_test", {"scores": [0.1] * 10, "tolerance": 0.9}, "'self_test.tolerance' is 0.9"),
        ("files", {}, "the sha256 of backbone.tflite is missing"),
    ],
)
def test_a_card_with_a_wrong_fact_is_refused_naming_it(
    bundle_directory: Path, write_card: Any, key: str, value: Any, told: str
) -> None:
    card = yaml.safe_load((bundle_directory / "card.yaml").read_text())
    write_card(bundle_directory, {**card, key: value})

    with pytest.raises(ModelError, match=f"card.yaml.*{told}"):
        Bundle.open(bundle_directory)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: 1\na: 2\n", "'a' twice"),
        (b"a: &x 1\nb: *x\n", "aliases are not allowed"),
        (b"a: &x [*x]\n", "aliases are not allowed"),
        (b"a: " + b"[" * 100 + b"]" * 100, "too deep nesting"),
        (b"a: " + b"[" * 990 + b"]" * 990, "nesting|maximum recursion depth"),
        (b"[" * 100_000, "maximum (nesting|recursion) depth"),
        (b"a: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        (b"- 1\n", "holds no mapping"),
        (b"a: .nan\n", "Out of range"),
        (b"a: [1\n", "expected plain YAML"),
        (b"\xff\xfe\x00", "expected plain YAML"),
    ],
)
def test_only_plain_yaml_is_a_card(content: bytes, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        parse_card(content, Path("card.yaml"))


def test_the_identity_is_of_the_cards_content_not_of_its_layout(bundle_directory: Path) -> None:
    path = bundle_directory / "card.yaml"
    before = Bundle.open(bundle_directory).sha256
    card = yaml.safe_load(path.read_text())
    path.write_text("# a remark\n" + yaml.safe_dump(card, sort_keys=True, default_flow_style=True, width=30))

    assert before == Bundle.open(bundle_directory).sha256


def test_any_other_fact_makes_another_identity(bundle_directory: Path) -> None:
    card = yaml.safe_load((bundle_directory / "card.yaml").read_text())

    assert identity(card) != identity({**card, "head": {"uncertain_below": 0.41}})
