"""
A model as it is shipped: ``backbone.tflite``, ``head.npz`` and ``card.yaml``, which names both by their sha256.

Nothing in a bundle is ever executed or unpickled: a LiteRT graph, arrays, and plain YAML. Every byte that is used was
hashed first, from the same descriptor.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import yaml

from emwatch.classify.bundles.trusted import hash_trusted, read_trusted
from emwatch.classify.preprocess import PREPROCESSING_ID
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES
from emwatch.shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CARD: Final = "card.yaml"
BACKBONE: Final = "backbone.tflite"
HEAD: Final = "head.npz"

#: What every bundle has.
FILES: Final = (CARD, BACKBONE, HEAD)

#: What a bundle may have besides, to teach another head: the projection of embeddings to compact vectors, and what taught
#: its own head. Classifying frames needs neither.
PROJECTION: Final = "projection.npz"
LESSONS: Final = "lessons.npz"
EXTRAS: Final = (PROJECTION, LESSONS)

#: The card's layout; raised when an older emwatch could no longer read a newer card.
FORMAT: Final = 1

#: No honest file is larger: an fp32 Xception has 83 MB, the head and the card a few hundred kB.
SIZE_CAPS: Final = MappingProxyType(
    {
        CARD: 256 * 1024,
        BACKBONE: 256 * 1024**2,
        HEAD: 16 * 1024**2,
        PROJECTION: 64 * 1024**2,
        LESSONS: 64 * 1024**2,
    }
)

#: A self-test that allows more tells nothing.
MOST_TOLERANCE: Final = 0.2

_REBUILD: Final = "Reinstall emwatch, or make the bundle again with 'emwatch model build'."


@dataclass(frozen=True, slots=True)
class BackboneOutput:
    """One part of the embedding: the layer that it comes from, and its number of features."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the whole model must say of the golden drawing before it may be used."""

    scores: tuple[float, ...]  #: all ten, in the order of `CATEGORIES`
    tolerance: float  #: largest difference of any score; processors round differently


@dataclass(frozen=True, slots=True)
class Bundle:
    """
    A verified model. Only `Bundle.open` makes one, and only from files that are what the card says.

    ``sha256`` identifies it in the ledger: the hash of the card's content, which holds the hashes of the other files.
    """

    directory: Path
    sha256: str
    card: Mapping[str, Any]
    outputs: tuple[BackboneOutput, ...]
    uncertain_below: float  #: a likeliest category with less calibrated probability is not to be believed
    uncertain_below_of: Mapping[str, float]  #: the same for single categories, where the card has them
    unfamiliar_above: (
        float | None
    )  #: a frame of more novelty is not to be believed; ``None`` where the head cannot tell
    self_test: SelfTest
    backbone: bytes
    head: bytes

    @property
    def features(self) -> int:
        """Return the width of the embedding."""
        return sum(output.width for output in self.outputs)

    @property
    def name(self) -> str:
        """Return the name that its author gave it."""
        return str(self.card["name"])

    def sha256_of(self, name: str) -> str:
        """Return the sha256 of one of its files, which was verified."""
        return str(self.card["files"][name]["sha256"])

    @classmethod
    def open(cls, directory: Path) -> Bundle:
        """Read and verify a bundle. Raises `ModelError` naming the file, what was expected and what to do."""
        content = read_file(directory, CARD)
        card = parse_card(content, directory / CARD)
        fields = _Card(card, directory / CARD)
        _check_kind(fields)
        for name in extras_of(card):
            with _missing_explained(directory, name):
                found, size = hash_trusted(directory / name, SIZE_CAPS[name], _REBUILD)
            _compare(fields, directory, name, found, size)
        return cls(
            directory=directory,
            sha256=identity(card),
            card=MappingProxyType(card),
            outputs=_outputs(fields),
            uncertain_below=fields.number("head.uncertain_below", 0.0, 1.0),
            uncertain_below_of=MappingProxyType(_thresholds(fields)),
            unfamiliar_above=_unfamiliar_above(fields),
            self_test=_self_test(fields),
            backbone=_verified(fields, directory, BACKBONE),
            head=_verified(fields, directory, HEAD),
        )


def read_card(directory: Path) -> tuple[dict[str, Any], str]:
    """Read a bundle's card alone, with the bundle's identity; nothing else is verified. Raises `ModelError`."""
    card = parse_card(read_file(directory, CARD), directory / CARD)
    return card, identity(card)


def open_backbone(directory: Path) -> tuple[bytes, dict[str, Any]]:
    """
    Read and verify a bundle's backbone alone, with what its card says of it: to train another head on it.

    Raises `ModelError`.
    """
    fields = _Card(parse_card(read_file(directory, CARD), directory / CARD), directory / CARD)
    facts = fields.get("backbone")
    if not isinstance(facts, dict):
        raise fields.wrong("backbone", "the facts of a backbone", facts)
    return _verified(fields, directory, BACKBONE), facts


def extras_of(card: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of `EXTRAS` a bundle has, by its card."""
    files = card.get("files")
    return tuple(name for name in EXTRAS if isinstance(files, dict) and name in files)


def open_extra(directory: Path, name: str) -> bytes | None:
    """Read and verify one of `EXTRAS`; ``None`` if the bundle has none. Raises `ModelError`."""
    card = parse_card(read_file(directory, CARD), directory / CARD)
    return _verified(_Card(card, directory / CARD), directory, name) if name in extras_of(card) else None


def default_directory() -> Path:
    """
    Find the bundle that comes with emwatch: in the installed package, or in the checkout beside it.

    Raises `ModelError` if there is none.
    """
    try:
        return shipped(f"models/default/{CARD}").parent
    except FileNotFoundError as error:
        raise ModelError(f"{error}. {_REBUILD}") from error


def identity(card: Mapping[str, Any]) -> str:
    """Return the sha256 of a card's content, the same however its YAML is laid out."""
    canonical = json.dumps(card, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_card(content: bytes, path: Path) -> dict[str, Any]:
    """Read a card: safe YAML without aliases and repeated keys. Raises `ModelError`."""
    try:
        card = yaml.load(content, Loader=_PlainLoader)  # noqa: S506 - _PlainLoader is a SafeLoader
        json.dumps(card, allow_nan=False)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        summary = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be read: expected plain YAML, found: {summary}. {_REBUILD}") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path} holds no mapping: expected the card of a model bundle. {_REBUILD}")
    return card


#: With libyaml, which the wheels of PyYAML bring, a card takes 13 ms instead of 67.
if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_DEEPEST: Final = 100


class _PlainLoader(_SafeLoader):
    """
    Safe YAML, and nothing said twice: no aliases (they explode), no repeated keys (the last would win silently).

    How deep Python itself can go differs between its versions, so there is a limit of our own.
    """

    def get_single_node(self) -> yaml.Node | None:
        root: yaml.Node | None = super().get_single_node()
        seen, depth = set(), 0
        level = [root] if root else []
        while level:
            depth += 1
            below = []
            for node in level:
                if node in seen:
                    raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", node.start_mark)
                if depth > _DEEPEST:
                    raise yaml.constructor.ConstructorError(None, None, "too deep nesting", node.start_mark)
                seen.add(node)
                if isinstance(node, yaml.SequenceNode):
                    below += node.value
                elif isinstance(node, yaml.MappingNode):
                    below += [each for pair in node.value for each in pair]
            level = below
        return root

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class _Card:
    """The parsed card, with every wrong or missing key an error that names it."""

    card: Mapping[str, Any]
    path: Path

    def wrong(self, key: str, expected: str, found: object) -> ModelError:
        return ModelError(f"{self.path}: '{key}' is {found!r}, expected {expected}. {_REBUILD}")

    def get(self, key: str) -> Any:
        at: Any = self.card
        for part in key.split("."):
            if not isinstance(at, dict) or part not in at:
                raise ModelError(f"{self.path}: '{key}' is missing. {_REBUILD}")
            at = at[part]
        return at

    def number(self, key: str, low: float, high: float) -> float:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.wrong(key, f"a number between {low:g} and {high:g}", value)
        return float(value)

    def rows(self, key: str) -> list[Any]:
        value = self.get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, "a list", value)
        return value


def _check_kind(fields: _Card) -> None:
    found = fields.get("format")
    if found != FORMAT:
        raise fields.wrong("format", f"{FORMAT} (this emwatch reads no other)", found)
    preprocessing = fields.get("preprocessing.id")
    if preprocessing != PREPROCESSING_ID:
        raise fields.wrong("preprocessing.id", f"{PREPROCESSING_ID!r}, the pixels this emwatch makes", preprocessing)
    labels = fields.rows("labels")
    if labels != list(CATEGORIES):
        raise fields.wrong("labels", f"the ten categories {', '.join(CATEGORIES)} in this order", labels)


def _outputs(fields: _Card) -> tuple[BackboneOutput, ...]:
    outputs = []
    for row in fields.rows("backbone.outputs"):
        name, width = (row.get("name"), row.get("width")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(width, int) or not 0 < width <= 65_536:
            raise fields.wrong("backbone.outputs", "rows with a name and a width", row)
        outputs.append(BackboneOutput(name, width))
    return tuple(outputs)


def _thresholds(fields: _Card) -> dict[str, float]:
    """Read the thresholds of single categories: none, or some."""
    key = "uncertain_below_of"
    thresholds = fields.get("head").get(key, {})
    if not isinstance(thresholds, dict) or not set(thresholds) <= set(CATEGORIES):
        raise fields.wrong(f"head.{key}", "a number between 0 and 1 for some of the categories", thresholds)
    return {name: fields.number(f"head.{key}.{name}", 0.0, 1.0) for name in thresholds}


def _unfamiliar_above(fields: _Card) -> float | None:
    key = "unfamiliar_above"
    return fields.number(f"head.{key}", -10.0, 10.0) if key in fields.get("head") else None


def _self_test(fields: _Card) -> SelfTest:
    scores = fields.rows("self_test.scores")
    if len(scores) != len(CATEGORIES) or not all(isinstance(score, float) and 0 <= score <= 1 for score in scores):
        raise fields.wrong("self_test.scores", f"{len(CATEGORIES)} numbers between 0 and 1", scores)
    return SelfTest(tuple(scores), fields.number("self_test.tolerance", 0.0, MOST_TOLERANCE))


def _verified(fields: _Card, directory: Path, name: str) -> bytes:
    content = read_file(directory, name)
    _compare(fields, directory, name, hashlib.sha256(content).hexdigest(), len(content))
    return content


def _compare(fields: _Card, directory: Path, name: str, found: str, size: int) -> None:
    files = fields.get("files")
    facts = files.get(name) if isinstance(files, dict) else None
    expected = facts.get("sha256") if isinstance(facts, dict) else None
    if not isinstance(expected, str):
        raise ModelError(f"{fields.path}: the sha256 of {name} is missing under 'files'. {_REBUILD}")
    if found != expected:
        raise ModelError(
            f"{directory / name} is not the file the card was made for: "
            f"expected sha256 {expected}, found {found} ({size} bytes). {_REBUILD}"
        )


def read_file(directory: Path, name: str) -> bytes:
    """Read one of a bundle's files: a whole regular file of bounded size that not everyone may change. Raises `ModelError`."""
    with _missing_explained(directory, name):
        return read_trusted(directory / name, SIZE_CAPS[name], _REBUILD)


@contextmanager
def _missing_explained(directory: Path, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if not directory.exists():
            raise ModelError(
                f"{directory}: no such directory; expected a model bundle there. Check how its path is written."
            ) from error
        raise ModelError(
            f"{directory / name} is missing: a model bundle has {CARD}, {BACKBONE} and {HEAD}. {_REBUILD}"
        ) from error
