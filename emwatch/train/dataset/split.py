"""Which frames a model learns from, which steer its training, and which judge it at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from emwatch.errors import DatasetError
from emwatch.frame import CATEGORIES
from emwatch.train.dataset.labelled import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from emwatch.train.dataset.labelled import LabelledFrame

By: TypeAlias = Literal["source", "random"]

#: As the network's makers split: 70 % to learn from, 20 % to steer by, 10 % to judge.
SHARES: Final = (0.7, 0.2, 0.1)

#: Sources are moved between parts at most so often over: each round only ever makes the shares truer.
_ROUNDS: Final = 20

#: Few large sources can be dealt badly: so many dealings are tried, where the groups are few.
_DEALINGS: Final = 10
_FEW_GROUPS: Final = 500

#: All of a category in a part of a tenth costs 10.
_ABSENT_COST: Final = 20.0


def split_frames(
    frames: Sequence[LabelledFrame],
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
    by: By = "source",
    together: Iterable[Sequence[int]] = (),
) -> list[Part]:
    """
    Return the part of each frame: every category divided by ``shares``, as far as possible.

    By ``source``, no source stands in two parts, and neither do the frames of one row of ``together`` (indices: near
    duplicates). ``random`` deals file by file, as is often done: frames of one session then stand on both sides, and the
    figures measure how well the model remembers them. The same seed deals the same way. Raises `DatasetError` where
    there are fewer sources than parts.
    """
    if not (len(shares) == len(Part) and all(share >= 0 for share in shares) and abs(sum(shares) - 1) < 1e-6):
        raise DatasetError(f"shares {shares} are no division into training, validation and test: expected a sum of 1")
    categories = np.array([frame.category for frame in frames], dtype=np.int64)
    random = np.random.default_rng(seed)
    parts = list(Part)
    if by == "random":
        return [parts[at] for at in _dealt_by_file(categories, shares, random)]
    groups = _groups(frames, together)
    wanted = sum(share > 0 for share in shares)
    if groups.size and (found := int(groups.max()) + 1) < wanted:
        raise DatasetError(
            f"{found} source{'s' if found > 1 else ''} cannot be divided into {wanted} parts: frames of one source are too much "
            "alike to judge a model that has learned from some of them. Put the frames of each session into a folder of their "
            "own below the category's, or name their sources in a table; or split at random, and believe the figures less."
        )
    return [parts[at] for at in _dealt_by_group(categories, groups, shares, random)]


def _dealt_by_file(
    categories: npt.NDArray[np.int64], shares: tuple[float, float, float], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    dealt = np.zeros(len(categories), dtype=np.int64)
    for category in np.unique(categories):
        mine = random.permutation(np.flatnonzero(categories == category))
        dealt[mine] = np.repeat(np.arange(len(shares)), _whole_shares(shares, len(mine), random))
    return dealt


def _whole_shares(shares: tuple[float, float, float], count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Divide ``count`` frames as nearly as can be, by largest remainders; which of equal ones is rounded up is drawn."""
    exact = np.round(np.array(shares) * count, 9)
    whole = np.floor(exact).astype(np.int64)
    order = np.lexsort((random.random(len(shares)), whole - exact))
    whole[order[: count - int(whole.sum())]] += 1
    return whole


def _groups(frames: Sequence[LabelledFrame], together: Iterable[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Return the group number of each frame (n,): its source, joined with sources that share near duplicates."""
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while (above := leaders.setdefault(name, name)) != name:
            leaders[name] = name = leaders.setdefault(above, above)
        return name

    for alike in together:
        first = leader(frames[alike[0]].source)
        for at in alike[1:]:
            leaders[leader(frames[at].source)] = first
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(leader(frame.source), len(numbers)) for frame in frames], dtype=np.int64)


def _dealt_by_group(
    categories: npt.NDArray[np.int64],
    groups: npt.NDArray[np.int64],
    shares: tuple[float, float, float],
    random: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Deal groups whole; of several dealings the one whose shares are nearest to what is asked for."""
    count = int(groups.max()) + 1 if groups.size else 0
    totals = np.maximum(np.bincount(categories, minlength=len(CATEGORIES)), 1)
    holds = np.zeros((count, len(CATEGORIES)))
    np.add.at(holds, (groups, categories), 1)
    holds /= totals
    dealings = [_dealing(holds, shares, random) for _ in range(_DEALINGS if count <= _FEW_GROUPS else 1)]
    best = min(dealings, key=lambda dealt: _cost(_filled(dealt, holds, len(shares)), np.array(shares)).sum())
    _fill_empty_parts(best, holds, shares)
    return best[groups]


def _dealing(
    holds: npt.NDArray[np.float64], shares: tuple[float, float, float], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the part of each group (groups,): largest first, each at the least cost; then moves and swaps while they help."""
    order = np.argsort(-holds.sum(axis=1) * random.lognormal(sigma=0.5, size=len(holds)))
    dealt = np.full(len(holds), -1, dtype=np.int64)
    filled, wanted = np.zeros((len(shares), holds.shape[1])), np.array(shares)
    for _ in range(_ROUNDS):
        moved = False
        for group in order:
            was = int(dealt[group])
            if was >= 0:
                filled[was] -= holds[group]
            filled = _without_dust(filled)
            added = _cost(filled + holds[group], wanted) - _cost(filled, wanted)
            best = int(added.argmin())
            if was >= 0 and added[was] <= added[best] + 1e-9:
                best = was
            moved |= best != was
            dealt[group] = best
            filled[best] += holds[group]
        if len(holds) <= _FEW_GROUPS:
            moved |= _swapped(dealt, holds, shares)
            filled = _filled(dealt, holds, len(shares))
        if not moved:
            break
    return dealt


def _swapped(dealt: npt.NDArray[np.int64], holds: npt.NDArray[np.float64], shares: tuple[float, float, float]) -> bool:
    """Let each group change places with the one of another part with which that helps most; tell whether any did."""
    any_did = False
    wanted = np.array(shares)
    for group, mine in enumerate(holds):
        filled = _filled(dealt, holds, len(shares))
        here, there = dealt[group], dealt
        after_here = _without_dust(filled[here] - mine + holds)
        after_there = _without_dust(filled[there] + mine - holds)
        before = _cost(filled, wanted)
        gain = before[here] + before[there] - _cost(after_here, wanted[here]) - _cost(after_there, wanted[there])
        gain[there == here] = 0.0
        other = int(gain.argmax())
        if gain[other] > 1e-9:
            dealt[group], dealt[other] = dealt[other], dealt[group]
            any_did = True
    return any_did


def _without_dust(filled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Let a part that holds nothing of a category any more hold exactly nothing."""
    return np.where(np.abs(filled) < 1e-9, 0.0, filled)


def _cost(filled: npt.NDArray[np.float64], share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """
    Return the cost of parts (n,) that hold these shares (n, 10) of the categories and should hold ``share``, (n,) or ().

    With f the share that a part holds and w the one it should, the sum of f * f / w is least where every f = w. A
    category that a part has nothing of costs more than any crookedness: nothing could be said of it there.
    """
    wanted = share[..., np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        crooked = np.where(filled > 0, filled**2 / wanted, 0.0)
    cost: npt.NDArray[np.float64] = (crooked + _ABSENT_COST * ((filled <= 0) & (wanted > 0))).sum(axis=1)
    return cost


def _filled(dealt: npt.NDArray[np.int64], holds: npt.NDArray[np.float64], parts: int) -> npt.NDArray[np.float64]:
    filled = np.zeros((parts, holds.shape[1]))
    np.add.at(filled, dealt, holds)
    return filled


def _fill_empty_parts(
    dealt: npt.NDArray[np.int64], holds: npt.NDArray[np.float64], shares: tuple[float, float, float]
) -> None:
    """Move the smallest group of the part with the most groups into each empty part."""
    sizes = holds.sum(axis=1)
    for part, share in enumerate(shares):
        if share > 0 and len(dealt) and not (dealt == part).any():
            counts = np.bincount(dealt, minlength=len(shares))
            mine = np.flatnonzero(dealt == counts.argmax())
            dealt[mine[sizes[mine].argmin()]] = part
