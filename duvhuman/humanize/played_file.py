"""A file as it was played, and what is told of it: a report, or a prediction.

Conventions
-----------
N counts the notes of a part, those that were left alone among them, in the order of its table.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from duvhuman.arrays import BoolArray, IntArray
from duvhuman.humanize.decode import duration_bin, velocity_bin
from duvhuman.humanize.perform import Played
from duvhuman.humanize.report import LikeReport, PartReport, Prediction, Report
from duvhuman.humanize.selection import Choice
from duvhuman.midi.notes import NoteTable, Part
from duvhuman.midi.smf import SmfFile
from duvhuman.models.config import DURATION_BINS, VELOCITY_BINS, ModelConfig


@dataclass(frozen=True)
class How:
    """How a part was played.

    Attributes
    ----------
    free : (N,) True for the notes that are neither protected nor out of range.
    selected : (N,) True for those on tracks that were to be played; the network hears the others, too.
    played : what was played on the free ones.
    config : of the network that played.
    like : what its takes taught, None without any.
    followed : the parts whose dynamics were followed.
    """

    free: BoolArray
    selected: BoolArray
    played: Played
    config: ModelConfig
    like: LikeReport | None
    followed: list[Part]


@dataclass(frozen=True)
class PlayedPart:
    """A part that was played, or was not.

    Attributes
    ----------
    velocity, duration_ticks : (N,) the new ones, MIDI and ticks.
    skipped : why it was not played, or "".
    how : how it was, or None.
    """

    choice: Choice
    velocity: IntArray
    duration_ticks: IntArray
    skipped: str = ""
    how: How | None = None

    @property
    def notes(self) -> NoteTable:
        """Its notes as they were written."""
        return self.choice.part.notes

    def as_written(self, after: NoteTable) -> PlayedPart:
        """The part with the velocities and lengths that its notes have in the new file."""
        hangs = self.notes.off_event < 0  # such a note lasts as long as others let it, and has no length of its own
        duration = np.where(hangs, self.notes.duration_ticks, after.duration_ticks)
        return replace(self, velocity=after.velocity, duration_ticks=duration)

    def report(self) -> PartReport:
        """What was done to it."""
        part, notes = self.choice.part, self.notes
        played = int(self.how.free.sum()) if self.how else 0
        return PartReport(
            name=part.name,
            tracks=part.tracks,
            channel=part.channel,
            program=part.program,
            instrument=self.choice.instrument.name if self.choice.instrument and not self.skipped else None,
            notes=len(notes),
            played=played,
            protected=len(notes) - played if not self.skipped else 0,
            velocities_changed=int((self.velocity != notes.velocity).sum()),
            durations_changed=int((self.duration_ticks != notes.duration_ticks).sum()),
            velocity_before=(int(notes.velocity.min()), int(notes.velocity.max())),
            velocity_after=(int(self.velocity.min()), int(self.velocity.max())),
            skipped=self.skipped,
            like=self.how.like if self.how else None,
            follows=tuple(sorted({track for other in self.how.followed for track in other.tracks})) if self.how else (),
        )


@dataclass(frozen=True)
class PlayedFile:
    """A file that was played.

    Attributes
    ----------
    seed : of all draws.
    found_beat : of the beat that was found in it, in words for the user; "" if it keeps one.
    told : what was warned of.
    """

    seed: int
    parts: list[PlayedPart]
    result: SmfFile
    found_beat: str
    told: tuple[str, ...]

    def report(self) -> Report:
        """What was done."""
        return Report(self.seed, tuple(part.report() for part in self.parts), self.found_beat, self.told)

    def prediction(self) -> Prediction:
        """The predictions of the played parts as one, in onset, then pitch order."""
        report = self.report()
        tables = [Prediction.empty(report)]
        tables += [_prediction_of(part, part.how, report) for part in self.parts if part.how is not None]
        names = [field.name for field in fields(Prediction) if field.name not in ("seed", "report")]
        whole = {name: np.concatenate([getattr(table, name) for table in tables]) for name in names}
        order = np.lexsort((whole["pitch"], whole["onset_ticks"]))
        return Prediction(**{name: values[order] for name, values in whole.items()}, seed=self.seed, report=report)


def _prediction_of(part: PlayedPart, how: How, report: Report) -> Prediction:
    """What was played of one part; a note that was left alone is certain to be what it was."""
    notes = part.notes
    ratio = np.where(notes.duration_ticks > 0, part.duration_ticks / np.maximum(notes.duration_ticks, 1), 1.0)
    v_bin, d_bin = velocity_bin(part.velocity), duration_bin(np.log2(ratio), how.config)
    v_probabilities, d_probabilities = np.eye(VELOCITY_BINS)[v_bin], np.eye(DURATION_BINS)[d_bin]
    changed, played = how.free & how.selected, how.played.select(how.selected[how.free])
    v_probabilities[changed] = played.said.moved_velocity_probabilities()
    d_probabilities[changed] = played.said.duration_probabilities
    spread = np.zeros(len(notes))
    spread[changed] = played.said.spread
    return Prediction(
        velocity_bin=v_bin,
        duration_bin=d_bin,
        velocity_probabilities=v_probabilities,
        duration_probabilities=d_probabilities,
        velocity=part.velocity,
        duration_beats=notes.duration_beats * ratio,
        spread=spread,
        onset_ticks=notes.onset_ticks,
        duration_ticks=part.duration_ticks,
        pitch=notes.pitch,
        track=notes.track,
        channel=notes.channel,
        seed=report.seed,
        report=report,
    )
