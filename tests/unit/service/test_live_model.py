from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from emwatch.classify.bundles.bundle import default_directory
from emwatch.classify.bundles.store import BundleStore, store_of
from emwatch.config.schema import Config, LedgerConfig, ModelConfig
from emwatch.ingest.events import Event, Notice
from emwatch.service.model import LiveModel
from tests.bundles import make_bundle_like_default

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Ear:
    def __init__(self) -> None:
        self.heard: list[Notice] = []

    def __call__(self, event: Event) -> None:
        assert isinstance(event, Notice)
        self.heard.append(event)


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Config:
    return Config(ledger=LedgerConfig(path=tmp_path / "ledger.sqlite3"), model=ModelConfig(threads=1))


@pytest.fixture(name="store")
def _store(config: Config, tmp_path: Path) -> BundleStore:
    """A store with a bundle named second, not in use."""
    store = store_of(config)
    store.add(make_bundle_like_default(tmp_path, "second"))
    return store


def loaded(model: LiveModel) -> None:
    """Wait for the thread that loads."""
    assert model.loader.join(60)


def test_an_activated_model_is_loaded_beside_and_taken_over_at_the_next_look(
    config: Config, store: BundleStore
) -> None:
    ear = Ear()
    model = LiveModel(config, ear, follow=True)
    first = model._classifier.bundle_sha256
    model.tick(0.0)
    store.activate(store.find("second"), NOON)
    model.tick(1.9)
    assert not model.loader.is_alive, "looked again too soon"

    model.tick(2.0)
    loaded(model)
    assert model._classifier.bundle_sha256 == first, "changed elsewhere than in the thread of the frames"
    model.tick(2.1)

    assert model._classifier.bundle_sha256 == store.find("second").sha256
    assert [notice.text.partition(":")[0] for notice in ear.heard] == ["model in use from now on"]


def test_a_model_rolled_back_before_it_was_taken_over_is_not_taken_over(config: Config, store: BundleStore) -> None:
    ear = Ear()
    model = LiveModel(config, ear, follow=True)
    first = model._classifier.bundle_sha256
    store.activate(store.find("second"), NOON)
    model.tick(0.0)
    loaded(model)
    store.rollback(NOON)
    model._seen = model._state()  # as if the roll-back had been seen by the thread that loads
    model._load()
    model.tick(0.1)

    assert model._classifier.bundle_sha256 == first
    assert ear.heard == []


def test_a_model_that_fails_is_told_once_until_somebody_asks_again(config: Config, store: BundleStore) -> None:
    ear = Ear()
    model = LiveModel(config, ear, follow=True)
    first = model._classifier.bundle_sha256
    kept = store.find("second")
    content = (kept.directory / "head.npz").read_bytes()
    (kept.directory / "head.npz").write_bytes(content[:-1])
    store.activate(kept, NOON)
    for now in (0.0, 2.0, 4.0):
        model.tick(now)
        loaded(model)

    assert [notice.level for notice in ear.heard] == ["error"]
    assert "head.npz is not the file" in ear.heard[0].text
    assert "stays in use" in ear.heard[0].text
    assert model._classifier.bundle_sha256 == first
    assert "head.npz is not the file" in model.facts()["trouble"]

    (kept.directory / "head.npz").write_bytes(content)
    model.check_soon()
    model.tick(4.1)
    loaded(model)
    model.tick(4.2)
    assert model._classifier.bundle_sha256 == kept.sha256
    assert (model.facts()["name"], model.facts()["trouble"]) == ("second", "")


def test_a_model_that_fails_is_tried_again_each_minute_and_told_once(config: Config, store: BundleStore) -> None:
    ear = Ear()
    model = LiveModel(config, ear, follow=True)
    kept = store.find("second")
    away = kept.directory.rename(kept.directory.with_name("away"))  # as if its disk were away for a while
    store.activate(kept, NOON)
    for now in (0.0, 59.0, 60.0, 120.0):
        model.tick(now)
        loaded(model)
    assert [notice.level for notice in ear.heard] == ["error"]

    away.rename(kept.directory)
    for now in (170.0, 180.0):
        model.tick(now)
        assert model.loader.is_alive == (now >= 180)
        loaded(model)
    model.tick(180.1)
    assert model._classifier.bundle_sha256 == kept.sha256
    assert model.facts()["trouble"] == ""


def test_a_configured_link_is_followed_when_it_leads_to_another_bundle(
    config: Config, store: BundleStore, tmp_path: Path
) -> None:
    ear, link = Ear(), tmp_path / "current"
    link.symlink_to(default_directory())
    through = ModelConfig(bundle=link, threads=1)
    model = LiveModel(config.model_copy(update={"model": through}), ear, follow=True)
    model.tick(0.0)
    assert model.loader._thread is None
    (tmp_path / "new").symlink_to(tmp_path / "second")
    (tmp_path / "new").rename(link)
    model.tick(2.0)
    loaded(model)
    model.tick(2.1)

    assert model._classifier.bundle_sha256 == store.find("second").sha256
    assert [notice.text.partition(":")[0] for notice in ear.heard] == ["model in use from now on"]

    link.unlink()
    for now in (4.0, 6.0):
        model.tick(now)
        loaded(model)
    assert model._classifier.bundle_sha256 == store.find("second").sha256
    [told] = ear.heard[1:]
    assert (told.level, str(link) in told.text) == ("error", True)


@pytest.mark.parametrize("engine", ["litert", "stub"])
def test_a_configured_bundle_and_the_stub_do_not_follow_the_store(
    config: Config, store: BundleStore, engine: str
) -> None:
    fixed = ModelConfig(engine=engine, bundle=default_directory(), threads=1)  # type: ignore[arg-type]  # from a list
    model = LiveModel(config.model_copy(update={"model": fixed}), Ear(), follow=True)
    store.activate(store.find("second"), NOON)
    model.tick(10.0)

    assert model.loader._thread is None
