"""A teacher for the network: gradient-boosted trees, which say of each note what they expect of any player.

What one player does to a note is mostly chance; a network of millions of weights that is trained on it learns much of
the chance by heart. Trees that are grown on other songs do not know the note's own player: what they expect of it is
less noisy, and the network learns that, too (distillation: Hinton et al. 2015).

Conventions
-----------
Songs are dealt into `FOLDS` folds; the trees that speak of a fold were grown on the others. They see the features that
the network sees of a part written up to the next onset, without any hint, one note at a time. Velocities are fitted in
units of the part's own spread, so that players of a wide range do not drown the others. Lengths are not taught: trees
that know of one way of writing a part say the same where another would tell more. Needs LightGBM (the extra ``train``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from duvhuman.errors import DataError, DuvhumanError
from duvhuman.humanize.features import compute_features
from duvhuman.humanize.score import FloatArray, Hints, gap_to_next_onset
from duvhuman.train.dataset import PhraseData
from duvhuman.train.deadpan import Pair, pair_as_written
from duvhuman.train.encode import NARROWEST_RANGE
from duvhuman.train.evaluation.metrics import correlation
from duvhuman.train.parts import fraction_of
from duvhuman.train.storage import PartRow

if TYPE_CHECKING:
    from lightgbm import LGBMRegressor

FOLDS = 5
FITTED_PARTS = 16_000
"""At most so many parts, drawn with a fixed seed, are fitted: a million notes take some 500 MB."""
FITTED_NOTES = 640
"""Of a part at most so many notes, from its middle, are fitted."""
TREES: Mapping[str, Any] = {
    "n_estimators": 320, "learning_rate": 0.075, "num_leaves": 31, "min_child_samples": 400, "reg_lambda": 10.0,
    "colsample_bytree": 0.5, "subsample": 0.7, "subsample_freq": 1, "max_bin": 127, "random_state": 0, "verbose": -1,
}  # fmt: skip
LARGEST = 3.0
"""Velocities further from the mean, in SDs, count as so far away."""


@dataclass(frozen=True)
class Taught:
    """How well trees expect what the players of other songs do: means over the `parts` of an instrument in a pack.

    Attributes
    ----------
    velocity_r : Pearson's r within a part.
    """

    pack: str
    instrument: str
    parts: int
    velocity_r: float


@dataclass(frozen=True)
class Lesson:
    """N notes to fit.

    Attributes
    ----------
    features : (N, F).
    velocity : (N,) from the part's mean, in its SDs.
    weight : (N,) parts of many notes weigh more than those of few, but not in proportion.
    fold : (N,) of the note's song.
    """

    features: NDArray[np.float32]
    velocity: FloatArray
    weight: FloatArray
    fold: NDArray[np.int64]


def teach(data: PhraseData, packs: Sequence[str], *, log: Callable[[str], None] = print) -> list[Taught]:
    """Grow trees on the training parts of some packs and store with every note of them what the trees expect.

    Parameters
    ----------
    packs : the names of the packs; notes of others have no teacher.
    log : is told how it goes.

    Returns
    -------
    How good the teacher is, for each instrument in each pack; extra parts do not count.

    Raises
    ------
    DataError
        If these packs have no training part, or all of theirs are of one song, so that nobody could teach another; or
        if the data are no prepared folder.
    DuvhumanError
        If LightGBM is missing.
    """
    try:
        import lightgbm  # noqa: F401 - told here, before minutes have gone by
    except ImportError:
        raise DuvhumanError("a teacher needs LightGBM: pip install 'duvhuman[train]'") from None
    parts = [part for part in data.select(split="train", extra=True) if part.pack in packs]
    if not parts:
        known = ", ".join(sorted({part.pack for part in data.parts}))
        raise DataError(f"{data.name}: no training part in {', '.join(packs)}; there are {known}")
    folds = sorted({fold_of(part) for part in parts})
    if len(folds) < 2:
        raise DataError(f"{data.name}: too few songs to teach one from others; prepare more")
    chosen = np.sort(np.random.default_rng(0).permutation(len(parts))[:FITTED_PARTS])
    lesson = _lesson(data, [parts[index] for index in chosen])
    log(f"{len(parts)} parts, {len(lesson.velocity):,} notes to fit")
    taught = np.full(max(part.stop for part in data.parts), np.nan, np.float32)
    scores: dict[tuple[str, str], list[float]] = {}
    for fold in folds:
        trees = _grown(lesson, fold)
        for part in (part for part in parts if fold_of(part) == fold):
            pair = _pair(data, part, part.start, part.stop)
            expected = trees.predict(_features(pair))
            notes = slice(part.start, part.stop)
            taught[notes] = part.level + max(part.range, NARROWEST_RANGE) * expected
            if not part.extra:
                score = correlation(expected, pair.played.velocity)
                scores.setdefault((part.pack, part.instrument), []).append(score)
        log(f"fold {fold + 1} of {FOLDS} is taught")
    data.write_added({"expected_velocity": taught})
    return [
        Taught(pack, instrument, len(each), float(np.mean(each)))
        for (pack, instrument), each in sorted(scores.items())
    ]


def _grown(lesson: Lesson, fold: int) -> LGBMRegressor:
    """Trees grown on the other folds."""
    from lightgbm import LGBMRegressor

    others = lesson.fold != fold
    trees = LGBMRegressor(objective="l2", **TREES)
    trees.fit(lesson.features[others], lesson.velocity[others], lesson.weight[others])
    return trees


def fold_of(part: PartRow) -> int:
    """Which fold the song of a part is in."""
    return int(fraction_of(f"teacher/{part.song}") * FOLDS)


def _lesson(data: PhraseData, parts: Sequence[PartRow]) -> Lesson:
    lessons = []
    for part in parts:
        start = part.start + max(part.stop - part.start - FITTED_NOTES, 0) // 2
        pair = _pair(data, part, start, min(part.stop, start + FITTED_NOTES))
        played = pair.played
        wanted = played.wanted
        n = int(wanted.sum())
        z = (played.velocity - played.velocity.mean()) / max(played.velocity.std(), NARROWEST_RANGE)
        lessons.append(
            Lesson(
                features=_features(pair)[wanted],
                velocity=np.clip(z, -LARGEST, LARGEST)[wanted],
                weight=np.full(n, 1 / np.sqrt(n + 1)),
                fold=np.full(n, fold_of(part)),
            )
        )
    return Lesson(*(np.concatenate([getattr(one, field.name) for one in lessons]) for field in fields(Lesson)))


def _pair(data: PhraseData, part: PartRow, start: int, stop: int) -> Pair:
    played = data.performance(np.array([[start, stop, 0]]), [part])
    return pair_as_written(played, gap_to_next_onset(played.score))


def _features(pair: Pair) -> NDArray[np.float32]:
    numbers = compute_features(pair.score, Hints.none(len(pair.score)))
    return np.column_stack([numbers, pair.score.program.astype(np.float32)])
