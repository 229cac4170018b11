"""How well predicted velocities and lengths agree with a player's.

Conventions
-----------
Arrays are (N,) over the notes of one part. Velocities are MIDI 1..127; articulation is log2 of performed over written
duration, and its error is told as a natural logarithm. Undefined correlations (a side that is constant) count as 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from duvhuman.arrays import FloatArray

ARTICULATION = ("art_r", "art_mae")
"""The metrics that are NaN where too few releases are known."""
FEWEST_RELEASES = 16
BOOTSTRAP_DRAWS = 1000


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's r, 0 where a side is constant."""
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 1e-9 else 0.0


def js_distance(one: FloatArray, other: FloatArray) -> float:
    """Jensen-Shannon distance (base 2, 0..1) of the histograms of two sets of velocities over 1..127 (Lin 1991).

    NaN where a velocity is not a number.
    """
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    p, q = (np.bincount(np.clip(np.round(v), 1, 127).astype(np.int64), minlength=128) / len(v) for v in (one, other))
    middle = (p + q) / 2

    def divergence(a: FloatArray) -> float:
        some = a > 0
        return float(np.sum(a[some] * np.log2(a[some] / middle[some])))

    return float(np.sqrt(max((divergence(p) + divergence(q)) / 2, 0.0)))


def velocity_metrics(played: FloatArray, predicted: FloatArray) -> dict[str, float]:
    """Pearson's r, MAE, MAE without each side's mean, SD ratio (predicted over played) and JS distance of one part."""
    difference = predicted - played
    return {
        "vel_r": correlation(played, predicted),
        "vel_mae": float(np.abs(difference).mean()),
        "vel_mae_centred": float(np.abs(difference - difference.mean()).mean()),
        "vel_sd_ratio": float(predicted.std() / max(played.std(), 1e-9)),
        "vel_js": js_distance(played, predicted),
    }


def articulation_metrics(played: FloatArray, predicted: FloatArray) -> dict[str, float]:
    """Pearson's r of articulation, and MAE of ln(performed / written duration), of one part over the notes whose
    release is known (`played` is a number); NaN if these are only some, and fewer than `FEWEST_RELEASES`.
    """
    known = np.isfinite(played)
    if known.sum() < min(FEWEST_RELEASES, len(known)):
        return {"art_r": float("nan"), "art_mae": float("nan")}
    played, predicted = played[known], predicted[known]
    return {"art_r": correlation(played, predicted), "art_mae": float(np.log(2) * np.abs(predicted - played).mean())}


def mean_over_parts(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over parts; of articulation over those in which enough releases are known."""
    return {name: _mean(name, np.array([row[name] for row in rows])) for name in rows[0]} if rows else {}


def _mean(name: str, values: FloatArray) -> float:
    measured = values[np.isfinite(values)] if name in ARTICULATION else values
    return float(measured.mean()) if len(measured) else float("nan")


def bootstrap_interval(values: Sequence[float], songs: Sequence[str] | None = None) -> tuple[float, float]:
    """95 % interval of the mean over parts by the percentile bootstrap (Efron 1979).

    Parameters
    ----------
    songs : of each part, which are drawn whole (Davison and Hinkley 1997, 3.8): parts of one song are alike. Without
        them each part stands for itself.
    """
    rng = np.random.default_rng(0)
    song = np.arange(len(values)) if songs is None else np.unique(songs, return_inverse=True)[1]
    sums, parts = np.bincount(song, weights=np.asarray(values)), np.bincount(song)
    draws = rng.integers(len(sums), size=(BOOTSTRAP_DRAWS, len(sums)))
    means = sums[draws].sum(axis=1) / parts[draws].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
