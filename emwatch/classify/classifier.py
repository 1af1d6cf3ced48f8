"""From the views of a frame to a prediction: engine, head, and the judgement of when not to believe it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.classify import scale_doubt
from emwatch.classify.backbone import ENGINES, Engine, StubEngine
from emwatch.classify.bundles.bundle import Bundle, default_directory
from emwatch.classify.compact import Compactor, in_8_bits, space_of
from emwatch.classify.head import Head, softmax
from emwatch.classify.preprocess import prepare
from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES, NETWORK_SIDE_PX, Embedding, Prediction

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from emwatch.frame import EmbeddingSpace

#: A view whose grey values spread less than this (standard deviation, of 255) shows nothing: beam blanked, lens cap on.
BLANK_BELOW_GREY: Final = 1.0

#: What the stub calls itself in the ledger.
STUB_SHA256: Final = hashlib.sha256(b"emwatch stub engine 1").hexdigest()

#: An electron detector counts electrons: it sees no colour. Text, overlays and a coloured bar take less than this share of
#: a frame; where more of it is coloured it is a photograph, a chart, or was coloured by hand, and nothing was taught on those.
COLOURED_ABOVE: Final = 0.25

STUB_SPACE: Final = space_of(STUB_SHA256, "", len(CATEGORIES))
_STUB_UNCERTAIN_BELOW: Final = 0.2
_STUB_SHARPNESS: Final = 4.0


class Classifier:
    """
    A model ready to use. `load` verifies and tests it; ``bundle`` is ``None`` for the stub only.

    One thread at a time.
    """

    def __init__(
        self, engine: Engine, head: Head | None, bundle: Bundle | None, compactor: Compactor | None = None
    ) -> None:
        self._engine = engine
        self._head = head
        self._compactor = compactor
        self.bundle = bundle

    @classmethod
    def load(cls, bundle: Path | None = None, engine: str = "litert", threads: int = 2) -> Classifier:
        """
        Open a bundle directory (``None``: the one that comes with emwatch), verify every file and run the self-test.

        ``engine``: ``litert``, ``keras`` or, for tests, ``stub``, which needs no files at all. Raises `ModelError`.
        """
        if engine == "stub":
            return cls(StubEngine(), None, None)
        if engine not in ENGINES:
            raise ModelError(f"engine {engine!r} is unknown: expected one of {', '.join([*ENGINES, 'stub'])}")
        opened = Bundle.open(default_directory() if bundle is None else bundle)
        head = Head.from_bytes(opened.head, opened.features, str(opened.directory / "head.npz"))
        compactor = Compactor.of(opened)  # before the engine: what reading it takes is free again when the engine asks
        classifier = cls(ENGINES[engine](opened, threads), head, opened, compactor)
        classifier.self_test()
        return classifier

    @property
    def bundle_sha256(self) -> str:
        """Identify the model in the ledger."""
        return STUB_SHA256 if self.bundle is None else self.bundle.sha256

    @property
    def space(self) -> EmbeddingSpace | None:
        """The space of the embeddings that predictions carry, ``None`` if they carry none."""
        if self.bundle is None:
            return STUB_SPACE
        return None if self._compactor is None else self._compactor.space

    def compact(self, embedding: npt.NDArray[np.float32]) -> Embedding | None:
        """Return the compact form of an embedding (features,), ``None`` if the bundle has no projection."""
        if self.bundle is None:
            return Embedding(STUB_SPACE, in_8_bits(embedding - embedding.mean()))
        return None if self._compactor is None else self._compactor.compact(embedding)

    def embed(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn the views (n, 170, 170) of one frame, grey 0..255, into one embedding (features,): the mean over views."""
        if views.ndim != 3 or views.shape[1:] != (NETWORK_SIDE_PX, NETWORK_SIDE_PX) or len(views) == 0:
            raise ValueError(f"views have shape {views.shape}, expected (n, {NETWORK_SIDE_PX}, {NETWORK_SIDE_PX})")
        embedding: npt.NDArray[np.float32] = self._engine.embed(views.astype(np.float32, copy=False)).mean(axis=0)
        return embedding

    def classify(
        self, views: npt.NDArray[np.float32], coloured_share: float = 0.0, field_width_um: float | None = None
    ) -> Prediction:
        """
        Return the prediction for a frame, from its views (n, 170, 170), grey 0..255.

        Uncertain if the likeliest category has too little probability; if the frame is unfamiliar, by its
        embedding or by ``coloured_share``, the share of its pixels that have a colour; if the category is hardly ever
        imaged at ``field_width_um`` (``None``: unknown, or not to be asked); and if there is nothing to see: a blank
        frame, or values that are not finite.
        """
        finite = bool(np.isfinite(views).all())
        usable = views if finite else np.nan_to_num(views, nan=0.0, posinf=255.0, neginf=0.0)
        embedding = self.embed(np.clip(usable, 0.0, 255.0))
        scores = self._probabilities(embedding)
        order = np.argsort(scores)[::-1]
        best, second = int(order[0]), int(order[1])
        category, probability = CATEGORIES[best], float(scores[best])
        novelty = self._novelty(embedding)
        doubt = scale_doubt.doubt(category, field_width_um)
        nothing_to_see = not finite or _is_blank(usable)
        return Prediction(
            category=category,
            probability=probability,
            scores=dict(zip(CATEGORIES, scores.tolist(), strict=True)),
            uncertain=nothing_to_see
            or bool(doubt)
            or coloured_share > COLOURED_ABOVE
            or self._is_unfamiliar(novelty)
            or probability < self._uncertain_below(category),
            margin=probability - float(scores[second]),
            bundle_sha256=self.bundle_sha256,
            bundle_name="stub" if self.bundle is None else self.bundle.name,
            novelty=novelty,
            doubt=doubt,
            embedding=self.compact(embedding),
        )

    def self_test(self) -> None:
        """Classify the golden drawing and compare with the card. Raises `ModelError`."""
        if self.bundle is None:
            return
        expected, found = np.array(self.bundle.self_test.scores), self.golden_scores()
        difference = float(np.abs(found - expected).max()) if np.isfinite(found).all() else float("inf")
        if difference > self.bundle.self_test.tolerance:
            raise ModelError(
                f"{self.bundle.directory}: the model fails its self-test: a score of the golden drawing differs by "
                f"{difference:.3g}, allowed are {self.bundle.self_test.tolerance:g}. The engine computes something else than the "
                "model's maker did: update ai-edge-litert, or make the bundle again with 'emwatch model build'."
            )

    def golden_scores(self) -> npt.NDArray[np.float64]:
        """Return the ten probabilities of the golden drawing."""
        return self._probabilities(self.embed(prepare(golden_drawing())))

    def _uncertain_below(self, category: str) -> float:
        if self.bundle is None:
            return _STUB_UNCERTAIN_BELOW
        return self.bundle.uncertain_below_of.get(category, self.bundle.uncertain_below)

    def _novelty(self, embedding: npt.NDArray[np.float32]) -> float | None:
        found = None if self._head is None else self._head.novelty_of(embedding)
        return None if found is None else float(found)

    def _is_unfamiliar(self, novelty: float | None) -> bool:
        limit = None if self.bundle is None else self.bundle.unfamiliar_above
        return novelty is not None and limit is not None and novelty > limit

    def _probabilities(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        if self._head is None:
            return softmax(embedding.astype(np.float64) * _STUB_SHARPNESS)
        return self._head.probabilities(embedding)


def golden_drawing() -> npt.NDArray[np.uint8]:
    """
    Draw the self-test's frame, (384, 512) uint8: rings around a corner over a slope, in integers only.

    The same on every machine; it passes through the same preprocessing as a frame does.
    """
    y, x = np.arange(384, dtype=np.int32)[:, np.newaxis], np.arange(512, dtype=np.int32)
    rings = ((x * x + y * y) // 512) % 128
    drawing: npt.NDArray[np.uint8] = (rings + (x + y) // 8).astype(np.uint8)
    return drawing


def _is_blank(views: npt.NDArray[np.float32]) -> bool:
    return bool((views.reshape(len(views), -1).std(axis=1) < BLANK_BELOW_GREY).all())
