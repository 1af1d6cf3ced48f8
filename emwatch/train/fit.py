"""Heads: fitted to embeddings in seconds, one affine map whatever was done to the features on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from emwatch.errors import ModelError
from emwatch.frame import CATEGORIES

if TYPE_CHECKING:
    import numpy.typing as npt

#: Inverse strength of the ridge on standardised features; from the by-source folds.
REGULARISATION: Final = 0.003

#: What a category without any training frame gets for a logit: never the likeliest.
_ABSENT: Final = -20.0


def fit_affine(
    embeddings: npt.NDArray[np.float32],
    categories: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """
    Fit a multinomial logistic regression with equal categories.

    ``embeddings`` (n, features), ``categories`` (n,), ``weights`` (n,) of the frames. Gives (features, 10) and (10,),
    with the standardisation of the features folded in.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - of the extra train
    except ImportError as error:
        raise ModelError(
            f"fitting a head needs scikit-learn: {error}. Install it: pip install 'emwatch[train]'"
        ) from error
    mean, spread = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)
    standard = ((embeddings - mean) / spread).astype(np.float32)
    model = LogisticRegression(C=REGULARISATION, max_iter=300, class_weight="balanced")
    model.fit(standard, categories, sample_weight=weights / weights.mean())
    slopes, bias = np.zeros((embeddings.shape[1], len(CATEGORIES))), np.full(len(CATEGORIES), _ABSENT)
    slopes[:, model.classes_], bias[model.classes_] = model.coef_.T, model.intercept_
    slopes /= spread[:, np.newaxis]
    return slopes, bias - mean @ slopes


def source_weights(sources: list[str]) -> npt.NDArray[np.float64]:
    """Weigh each frame by one over the root of its source's number of frames: a hundred of one session tell little more than ten."""
    names, index, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    del names
    weights = 1.0 / np.sqrt(counts[index].astype(np.float64))
    return np.asarray(weights / weights.mean(), dtype=np.float64)
