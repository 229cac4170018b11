"""What is scored: held-out parts made flat, and what turns them into a performance.

Conventions
-----------
The input of every part is flat: all velocities are the part's mean, and every note is written up to the next onset at
least 1/8 beat later; of the last chord, which nothing follows, no length is judged. Notes in repeated bars count as
often as they are played.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from duvhuman.arrays import FloatArray
from duvhuman.humanize.perform import perform
from duvhuman.humanize.score import Score, contour, gap_to_next_onset
from duvhuman.humanize.windows import Distribution
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.data.parts import ALIVE_SD
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.evaluation.metrics import articulation_metrics, mean_over_parts, velocity_metrics
from duvhuman.train.pairs.deadpan import Pair, pair_as_written
from duvhuman.train.pairs.straighten import Straightening, straighten

PAIR_NOTES = 384
"""So many notes in the middle of a part are played where epochs are judged and gains measured."""


@dataclass(frozen=True)
class Rendition:
    """What is played on one part.

    Attributes
    ----------
    velocity : (N,) MIDI.
    articulation : (N,) log2(performed / written duration).
    said : what the network said, if one was asked.
    """

    velocity: FloatArray
    articulation: FloatArray
    said: Distribution | None = None


Predictor = Callable[[Score, FloatArray], Rendition]
"""From a flat score and its written velocities (N,) to what is played."""


def flat_pair(data: PhraseData, part: PartRow, *, max_notes: int = 1024, as_score: bool = False) -> Pair | None:
    """The middle `max_notes` notes of a part as a flat score and what was played on it; None if played flat there.

    Parameters
    ----------
    as_score : a recording without a beat is shown as `duvhuman.train.notate` wrote it down, in bars and an even tempo;
        None if it did not.
    """
    start = part.start + max(part.stop - part.start - max_notes, 0) // 2
    played = data.performance(np.array([[start, min(part.stop, start + max_notes), 0]]), [part])
    if played.velocity.std() < ALIVE_SD:
        return None
    if as_score:
        if not np.isfinite(played.written_beats).all():
            return None
        played = straighten(played, Straightening.always(1))
        played = played.select(np.lexsort((played.score.pitch, played.score.onset_beats)))
    return replace(pair_as_written(played, gap_to_next_onset(played.score)), song=part.song)


def flat_pairs(
    data: PhraseData, parts: Sequence[PartRow], *, max_notes: int = 1024, as_scores: bool = False
) -> list[Pair]:
    """`flat_pair` of every part that has one."""
    pairs = (flat_pair(data, part, max_notes=max_notes, as_score=as_scores) for part in parts)
    return [pair for pair in pairs if pair is not None]


def written_flat(pair: Pair) -> FloatArray:
    """(N,) the velocities of the flat input: the player's mean, rounded."""
    velocity = pair.played.velocity
    return np.full(len(velocity), float(np.round(velocity.mean())))


def written_as_played(pair: Pair) -> FloatArray:
    """(N,) the player's own velocities, as if the user had written them: a model sees their contour only."""
    return pair.played.velocity


def play_pairs(
    pairs: Sequence[Pair], predict: Predictor, written: Callable[[Pair], FloatArray] = written_flat
) -> list[Rendition]:
    """What `predict` plays on every pair, flat or with the velocities that `written` gives."""
    return [predict(pair.score, written(pair)) for pair in pairs]


def metrics_of(pair: Pair, predicted: Rendition) -> dict[str, float]:
    """The metrics of one part."""
    lengths = articulation_metrics(pair.articulation, predicted.articulation)
    return velocity_metrics(pair.played.velocity, predicted.velocity) | lengths


def score_pairs(
    pairs: Sequence[Pair], predict: Predictor, written: Callable[[Pair], FloatArray] = written_flat
) -> list[dict[str, float]]:
    """The metrics of every part, played as `play_pairs` says."""
    return [metrics_of(pair, said) for pair, said in zip(pairs, play_pairs(pairs, predict, written), strict=True)]


def model_predictor(model: PhraseTransformer) -> Predictor:
    """A model as users meet it: rounded velocities, and a written staccato stays one. Of velocities that are not flat
    it is told the contour alone, never the velocities of passages themselves: they may be those it is judged by.
    """

    def predict(score: Score, velocity: FloatArray) -> Rendition:
        played = perform(model, score, velocity, by_contour=True)
        articulation = np.log2(played.duration_beats / score.nominal_beats)
        return Rendition(np.round(played.velocity), articulation, played.said)

    return predict


def flat_predictor(score: Score, velocity: FloatArray) -> Rendition:
    """The input itself: flat, and as written."""
    return Rendition(velocity, np.zeros(len(score)))


def jitter_predictor() -> Predictor:
    """What most humanizers do: normal noise of SD 10 on velocities, of a tenth on lengths."""
    rng = np.random.default_rng(0)

    def predict(score: Score, velocity: FloatArray) -> Rendition:
        jittered = np.clip(np.round(velocity + rng.normal(0, 10, len(score))), 1, 127)
        return Rendition(jittered, np.log2(np.maximum(1 + rng.normal(0, 0.1, len(score)), 0.1)))

    return predict


def contour_alone(pair: Pair) -> Rendition:
    """The contour hint itself as a performance: the swell, and 12 more or less for an accent."""
    played = pair.played
    level = np.full(len(played), played.velocity.mean())
    swell, accent = contour(played.score.onset_beats, played.velocity, played.score.segment, level)
    return Rendition(np.clip(np.round(level + swell + 12 * accent), 1, 127), np.zeros(len(played)))


def quick_metrics(model: PhraseTransformer, pairs: Sequence[Pair]) -> dict[str, float]:
    """The mean metrics over `pairs`, and ``failed``: 1 if predictions are constant or not numbers."""
    played = play_pairs(pairs, model_predictor(model))
    rows = [metrics_of(pair, one) for pair, one in zip(pairs, played, strict=True)]
    constant = all(row["vel_sd_ratio"] < 1e-3 for row in rows)
    numbers = all(np.isfinite(values).all() for one in played for values in (one.velocity, one.articulation))
    return mean_over_parts(rows) | {"failed": float(constant or not numbers)}
