from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emwatch.classify.bundles.bundle import default_directory
from emwatch.classify.bundles.store import BundleStore, in_use
from emwatch.config.schema import Config, LedgerConfig, ModelConfig
from emwatch.errors import ModelError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Make = Callable[..., Path]


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "models")


def test_without_any_activation_the_bundle_that_comes_with_emwatch_is_in_use(store: BundleStore) -> None:
    assert store.in_use().directory == default_directory()
    assert not store.directory.exists()


def test_an_added_bundle_is_kept_under_name_and_number_and_not_in_use(store: BundleStore, make_bundle: Make) -> None:
    kept = store.add(make_bundle("my wires / 2"))

    assert kept.directory == store.directory / f"my-wires-2-{kept.sha256[:12]}"
    names = ["backbone.tflite", "card.yaml", "head.npz"]
    assert sorted(path.name for path in kept.directory.iterdir()) == names
    assert store.in_use().directory == default_directory()
    assert [path.name for path in store.directory.iterdir()] == [kept.folder]


def test_activate_and_rollback_walk_along_the_history(store: BundleStore, make_bundle: Make) -> None:
    first, second = store.add(make_bundle("first")), store.add(make_bundle("second"))
    store.activate(first, NOON)
    store.activate(second, NOON + timedelta(hours=1))
    store.activate(second, NOON + timedelta(hours=2))  # nothing new: no way back to itself

    assert store.in_use().directory == second.directory
    assert store.rollback(NOON).active.name == "first"  # type: ignore[union-attr]
    assert store.in_use().directory == first.directory
    store.rollback(NOON)
    assert store.in_use().directory == default_directory()
    with pytest.raises(ModelError, match="nothing to go back to"):
        store.rollback(NOON)


def test_a_way_back_that_is_gone_changes_nothing(store: BundleStore, make_bundle: Make) -> None:
    first, second = store.add(make_bundle("first")), store.add(make_bundle("second"))
    store.activate(first, NOON)
    store.activate(second, NOON)
    before = store.pointer_file.read_bytes()
    os.truncate(first.directory / "head.npz", 10)
    with pytest.raises(ModelError, match=r"first [0-9a-f]{12}, which was in use before, cannot be used.*head.npz"):
        store.rollback(NOON)
    shutil.rmtree(first.directory)
    with pytest.raises(ModelError, match=r"cannot be used any more.*no such directory.*Nothing was changed"):
        store.rollback(NOON)
    assert store.pointer_file.read_bytes() == before


def test_what_a_killed_command_left_is_cleared_away_after_a_day(store: BundleStore, make_bundle: Make) -> None:
    old, new = store.directory / ".incoming-old", store.directory / ".incoming-new"
    for each in (old, new):
        each.mkdir(parents=True)
    os.utime(old, (1, 1))
    store.add(make_bundle("next"))

    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_what_an_administrator_keeps_the_daemon_can_read(store: BundleStore, make_bundle: Make) -> None:
    before = os.umask(0o077)
    try:
        kept = store.add(make_bundle("admin's"))
        store.activate(kept, NOON)
    finally:
        os.umask(before)

    for path in (store.directory, kept.directory):
        assert path.stat().st_mode & 0o777 == 0o755
    for path in (store.pointer_file, *kept.directory.iterdir()):
        assert path.stat().st_mode & 0o777 == 0o644


def test_a_bundle_is_found_by_folder_name_number_and_directory(store: BundleStore, make_bundle: Make) -> None:
    elsewhere = make_bundle("wires")
    kept = store.add(elsewhere)

    for wanted in (kept.folder, "wires", kept.sha256[:6], kept.sha256.upper(), str(kept.directory)):
        assert store.find(str(wanted)) == kept
    assert store.find(str(elsewhere)).directory == elsewhere
    assert store.find("default").directory == default_directory()


def test_a_name_that_two_bundles_have_is_refused_with_their_numbers(store: BundleStore, make_bundle: Make) -> None:
    kept = [store.add(make_bundle("one")), store.add(make_bundle("two", 0.1))]
    card = kept[1].directory / "card.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace("name: two", "name: one"), encoding="utf-8")

    with pytest.raises(ModelError, match=rf"'one' may be any of.*{kept[0].sha256[:12]}"):
        store.find("one")
    with pytest.raises(ModelError, match=r"there is no bundle 'three'.*default"):
        store.find("three")


def test_a_bundle_that_fails_on_the_way_in_leaves_nothing_behind(store: BundleStore, make_bundle: Make) -> None:
    broken = make_bundle("broken")
    content = bytearray((broken / "head.npz").read_bytes())
    content[-100] ^= 1
    (broken / "head.npz").write_bytes(content)

    with pytest.raises(ModelError, match=rf"{broken}/head.npz is not the file"):
        store.add(broken)
    assert list(store.directory.iterdir()) == []


def test_a_bundle_damaged_in_the_store_is_replaced_by_a_whole_one(store: BundleStore, make_bundle: Make) -> None:
    whole = make_bundle("whole")
    kept = store.add(whole)
    os.truncate(kept.directory / "head.npz", 10)

    assert store.add(whole) == kept
    store.test(kept)


def test_an_activated_bundle_that_was_exchanged_since_is_refused(store: BundleStore, make_bundle: Make) -> None:
    kept = store.add(make_bundle("trusted"))
    store.activate(kept, NOON)
    other = make_bundle("other")
    for path in other.iterdir():
        (kept.directory / path.name).write_bytes(path.read_bytes())

    with pytest.raises(ModelError, match=f"another bundle than was activated: expected {kept.sha256}"):
        store.in_use().load()


def test_an_activated_bundle_that_is_gone_is_told_with_the_way_back(store: BundleStore, make_bundle: Make) -> None:
    kept = store.add(make_bundle("gone"))
    store.activate(kept, NOON)
    (kept.directory / "card.yaml").unlink()

    with pytest.raises(ModelError, match=r"card.yaml is missing.*emwatch model rollback"):
        store.in_use().load()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be understood"),
        ("[]", "cannot be understood"),
        ('{"active": {"name": "a"}, "history": []}', "cannot be understood"),
        ('{"active": {"name": "a", "sha256": "A", "folder": null, "at": ""}, "history": []}', "no sha256"),
        (
            json.dumps({"active": {"name": "a", "sha256": "a" * 64, "folder": "../../etc", "at": ""}, "history": []}),
            "no folder of the store",
        ),
        (" " * 70_000, "larger than"),
    ],
)
def test_a_pointer_that_is_none_is_refused_and_can_be_written_anew(store: BundleStore, content: str, told: str) -> None:
    store.directory.mkdir()
    store.pointer_file.write_text(content, encoding="utf-8")

    with pytest.raises(ModelError, match=rf"active.json.*{told}"):
        store.in_use()
    store.activate(store.find_default(), NOON)
    assert store.in_use().directory == default_directory()


@pytest.mark.skipif(os.name != "posix", reason="POSIX rights")
def test_a_pointer_that_everyone_may_change_is_refused(store: BundleStore) -> None:
    store.activate(store.find_default(), NOON)
    store.pointer_file.chmod(0o666)

    with pytest.raises(ModelError, match="may be changed by every user"):
        store.in_use()


def test_the_old_pointer_stays_when_the_new_one_cannot_be_written(
    store: BundleStore, make_bundle: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store.add(make_bundle("kept"))
    store.activate(kept, NOON)
    before = store.pointer_file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ModelError, match="cannot be written: No space left on device; nothing was changed"):
            store.rollback(NOON)
    assert store.pointer_file.read_bytes() == before
    assert sorted(path.name for path in store.directory.iterdir()) == ["active.json", kept.folder]


def test_a_configured_bundle_wins_over_the_activated_one(tmp_path: Path, make_bundle: Make) -> None:
    ledger = LedgerConfig(path=tmp_path / "ledger.sqlite3")
    store = BundleStore(tmp_path / "models")
    kept = store.add(make_bundle("activated"))
    store.activate(kept, NOON)
    configured = tmp_path / "somewhere"

    assert in_use(Config(ledger=ledger)).directory == kept.directory
    assert in_use(Config(ledger=ledger, model=ModelConfig(bundle=configured))).directory == configured
