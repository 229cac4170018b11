"""What `humanize` and `predict` tell of what they did.

Conventions
-----------
N counts every note of the played parts. Velocities are MIDI 1..127, lengths are in beats (quarter notes).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from duvhuman.arrays import FloatArray, IntArray
from duvhuman.models.config import DURATION_BINS, VELOCITY_BINS


@dataclass(frozen=True)
class LikeReport:
    """The takes that a part was played like.

    Attributes
    ----------
    takes : the names of those that were learnt from, "take 1" and so on of what has none.
    held_out_notes : how many notes the personal adapter was judged by; each while its bar was held out of the fit.
    velocity_r_before, velocity_r_after : Pearson's r with the player's velocities there, without and with it.
    articulation_mae_before, articulation_mae_after : mean absolute error of ln(performed / written duration) there;
        None if the takes tell nothing of lengths.
    """

    takes: tuple[str, ...]
    held_out_notes: int
    velocity_r_before: float
    velocity_r_after: float
    articulation_mae_before: float | None
    articulation_mae_after: float | None


@dataclass(frozen=True)
class PartReport:
    """What was done to one part.

    Attributes
    ----------
    name, tracks, channel, program : which part; program -1 is "none set".
    instrument : what it was played as; None if it was left alone.
    notes, played, protected : how many notes it has, how many the model saw, how many were left alone as key-switches.
    velocities_changed, durations_changed : how many notes came out different.
    velocity_before, velocity_after : lowest and highest velocity.
    skipped : why the part was left alone; empty if it was played.
    like : the takes that it was played like; None if it was not.
    follows : the tracks whose dynamics it follows; empty if it was played as if it were alone.
    """

    name: str
    tracks: tuple[int, ...]
    channel: int
    program: int
    instrument: str | None
    notes: int
    played: int
    protected: int
    velocities_changed: int
    durations_changed: int
    velocity_before: tuple[int, int]
    velocity_after: tuple[int, int]
    skipped: str
    like: LikeReport | None = None
    follows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Report:
    """What was done to a file.

    Attributes
    ----------
    seed : the seed used.
    parts : every part with notes, in the file's order.
    found_beat : metre and tempo of the beat that was found in a file that keeps none, such as "4/4 at about 98 bpm";
        empty if none was.
    warnings : what the user was warned of (`DuvhumanWarning`), in that order.
    """

    seed: int
    parts: tuple[PartReport, ...]
    found_beat: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any note came out different."""
        return any(part.velocities_changed or part.durations_changed for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for JSON."""
        return {
            "seed": self.seed, "changed": self.changed, "found_beat": self.found_beat or None,
            "parts": [asdict(part) for part in self.parts], "warnings": list(self.warnings),
        }


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the model says of every note of the played parts, in onset, then pitch order; notes of one pitch that begin
    together are in the order of the file.

    Attributes
    ----------
    velocity_bin, duration_bin : (N,) integers 0..15, the bins of the decoded values below.
    velocity_probabilities, duration_probabilities : (N, 16), rows sum to 1; for a protected note all on its own bin.
        Those of velocity are what the network says, at the written level; `velocity` is stretched and follows others.
    velocity : (N,) integers 1..127.
    duration_beats : (N,) beats.
    spread : (N,) SD of the predicted velocity bins, in MIDI velocities; 0 for a protected note.
    onset_ticks, duration_ticks : (N,) ticks, the former as written, the latter as played.
    pitch, track, channel : (N,) integers, which note it is; tracks are indices into those of the file, channels 0..15.
    seed : the seed used.
    report : what `humanize` would tell.
    """

    velocity_bin: IntArray
    duration_bin: IntArray
    velocity_probabilities: FloatArray
    duration_probabilities: FloatArray
    velocity: IntArray
    duration_beats: FloatArray
    spread: FloatArray
    onset_ticks: IntArray
    duration_ticks: IntArray
    pitch: IntArray
    track: IntArray
    channel: IntArray
    seed: int
    report: Report

    @classmethod
    def empty(cls, report: Report) -> Prediction:
        """The prediction of a file with nothing to play."""
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
        v_probabilities, d_probabilities = np.zeros((0, VELOCITY_BINS)), np.zeros((0, DURATION_BINS))
        return cls(
            whole, whole, v_probabilities, d_probabilities, whole, real, real, whole, whole, whole, whole, whole,
            report.seed, report,
        )

    def __len__(self) -> int:
        return len(self.pitch)
