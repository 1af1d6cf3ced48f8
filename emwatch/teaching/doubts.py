"""What will not work of the targets that were taught: said when they are configured, not when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emwatch.classify.bundles.store import in_use
from emwatch.classify.classifier import STUB_SPACE
from emwatch.classify.compact import space_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from emwatch.config import Config
    from emwatch.frame import EmbeddingSpace
    from emwatch.targets.rules import Target
    from emwatch.teaching.store import LearnedTarget


def doubts(
    targets: Iterable[Target], learned: Mapping[str, LearnedTarget], space: EmbeddingSpace | None
) -> Iterator[str]:
    """
    Yield a sentence for each configured target that was taught and will not work, or cannot be refined.

    ``learned``: the learned targets by name. ``space``: that of the model in use, ``None`` if it makes no embeddings.
    """
    for target in targets:
        if (name := target.asks.learned) is not None:
            trouble = trouble_with(name, learned, space)
            if trouble:
                yield f"target {target.name!r}: {trouble}"


def space_in_use(config: Config) -> EmbeddingSpace | None:
    """Return the space of the model in use, without loading it; ``None``: it makes no embeddings. Raises `ModelError`."""
    return STUB_SPACE if config.model.engine == "stub" else space_in(in_use(config).directory)


def trouble_with(name: str, learned: Mapping[str, LearnedTarget], space: EmbeddingSpace | None) -> str:
    """Return why no frame can meet a learned target, or why it cannot be refined; "" if nothing is wrong."""
    found = learned.get(name)
    if found is None:
        known = ", ".join(sorted(learned)) or "none yet"
        return (
            f"no learned target is called {name!r} (there are: {known}), so no frame meets it: 'emwatch target learn'"
        )
    if space is None:
        return "the model in use makes no embeddings, so no frame meets it: activate one made by 'emwatch model build'"
    if found.head.space_sha256 != space.sha256:
        return (
            f"{name!r} was learned with another backbone than that of the model in use, so no frame meets it: learn it "
            "again ('emwatch target show' lists its frames), or activate the model of then"
        )
    if not any(each.wanted for each in found.examples):
        return f"{name!r} holds no example any more: it works, but 'emwatch target refine' cannot; learn it again"
    return ""
