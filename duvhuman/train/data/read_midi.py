"""From MIDI files to parts: what every process and every node does with its share of the files.

Conventions
-----------
A *pack* is one folder given; its name is kept with every part. Files are named by their path below it, with "/". Beats
come from the file's own tempo map, or from a ``NAME.beats.txt`` beside ``NAME.mid`` (POP909's format: a row per beat
with its time in seconds, whether a 2/4 bar begins there, and whether a 4/4 bar does). What comes out follows from the
files alone. Nothing here imports torch: a process that reads is up in a fifth of a second.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from duvhuman.arrays import BoolArray, FloatArray, IntArray
from duvhuman.errors import FileError, MidiError, OptionError
from duvhuman.files import is_midi_name
from duvhuman.humanize.keyed import KeyArray
from duvhuman.instruments import Instrument, get_instrument, instrument_of_program, instrument_of_track_name
from duvhuman.midi.notes import NoteTable, Part, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.train.data.parts import ALIVE_NOTES, PerformedNotes, RawPart, not_alive, raw_part, teaches_nothing
from duvhuman.train.data.releases import keys_released
from duvhuman.train.data.songs import song_name
from duvhuman.train.data.spool import to_bytes
from duvhuman.train.data.storage import TICKS_PER_BEAT, PartRow

EARLY_BEATS = 0.02
LONGEST_BEATS = (2**31 - 1) // TICKS_PER_BEAT
"""A part that lasts longer (a month at 100 beats per minute) comes from a damaged file."""
MISSING_FILE = "missing file"
OTHER = Instrument("other", frozenset((*range(8, 16), 46, *range(52, 112))), 0, 127, 80, (), ())
"""Instruments with pitches that are none of ours: mallets, harp, choirs, winds, synthesizers, folk instruments."""


@dataclass(frozen=True)
class Pack:
    """A folder of MIDI.

    Attributes
    ----------
    folder : where it is.
    instrument : the instrument of its parts that name none; None: such parts are left out.
    name : what it is called in the data set; empty: as its folder.
    """

    folder: Path
    instrument: str | None = None
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Pack:
        """Read ``FOLDER`` or ``FOLDER=INSTRUMENT``; OptionError for an empty FOLDER or an unknown instrument."""
        folder, name = text, None
        if "=" in text and not Path(text).is_dir():
            folder, told = text.rsplit("=", 1)
            name = get_instrument(told).name
        if not folder:
            raise OptionError(f"FOLDER is empty in {text!r}; name a folder of MIDI files, such as . for this one")
        return cls(Path(folder), name)


@dataclass(frozen=True)
class FileGroup:
    """Some files of a pack, which are read in one go."""

    pack: Pack
    files: tuple[str, ...]

    @property
    def label(self) -> str:
        """The group in a message."""
        return f"{self.pack.folder / self.files[0]} ... {self.files[-1]}"


@dataclass(frozen=True)
class ReadGroup:
    """What a group of files holds: P usable parts.

    Attributes
    ----------
    rows : (P,) rows; `start` and `stop` are not set.
    sizes : (P,) numbers of notes.
    keys : (P,) where in the data set they belong; these follow from the files' names.
    fingerprints : (P,) equal for the same performance.
    bars, bar_counts : (B,) the digests of all parts' bars, part after part, and (P,) how many each has.
    notes : the notes of all parts, see `spool`.
    left_out : why other parts were left out, and how many.
    """

    rows: list[PartRow]
    sizes: IntArray
    keys: KeyArray
    fingerprints: KeyArray
    bars: KeyArray
    bar_counts: IntArray
    notes: bytes
    left_out: Counter[str]


def find_files(folder: Path) -> list[str]:
    """The MIDI files below a folder, sorted by folder and name; links to folders are not followed.

    Raises
    ------
    FileError
        If a folder cannot be listed.
    """
    found: list[str] = []
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{below}{entry.name}/")
                    elif is_midi_name(entry.name) and entry.is_file():
                        found.append(below + entry.name)
        except OSError as error:
            reason = f"cannot be listed ({error.strerror}); allow it, or move it out"
            raise FileError(f"{folder / below}: {reason}") from None
    return sorted(found, key=lambda name: name.split("/"))


def read_group(group: FileGroup) -> ReadGroup:
    """The usable parts of a group of files."""
    parts: list[RawPart] = []
    left_out: Counter[str] = Counter()
    keys: list[int] = []
    for file in group.files:
        found, reasons = read_file(group.pack, file)
        keys += _keys(f"{group.pack.name}/{file}", found)
        parts += found
        left_out.update(reasons)
    return ReadGroup(
        rows=[part.row for part in parts],
        sizes=np.array([len(part) for part in parts], dtype=np.int64),
        keys=np.array(keys, dtype=np.uint64),
        fingerprints=np.array([part.fingerprint for part in parts], dtype=np.uint64),
        bars=np.concatenate([np.zeros(0, dtype=np.uint64), *(part.bars for part in parts)]),
        bar_counts=np.array([len(part.bars) for part in parts], dtype=np.int64),
        notes=b"".join(to_bytes(part.columns) for part in parts),
        left_out=left_out,
    )


def read_file(pack: Pack, file: str) -> tuple[list[RawPart], Counter[str]]:
    """The usable parts of one MIDI file, and why other parts were left out."""
    path = pack.folder / file
    try:
        smf = parse_smf(path.read_bytes(), source=file)
        parts = read_parts(smf, instrument=pack.instrument)
    except FileNotFoundError:
        return [], Counter({MISSING_FILE: 1})
    except (MidiError, OSError):
        return [], Counter({"unreadable file": 1})
    try:
        beats = _read_beats(path.with_name(path.stem + ".beats.txt"))
    except (ValueError, OSError):
        return [], Counter({"unreadable table of beats": 1})
    # Names that are no text are made some: they are written as JSON and Parquet.
    source = file.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    song = f"{pack.name}/{song_name(source)}"
    kept: list[RawPart] = []
    reasons: Counter[str] = Counter()
    for part in parts:
        instrument = _instrument_of(part, pack)
        if instrument is None:
            reasons["another instrument or drums"] += 1
            continue
        notes = part.notes if beats is None else _on_beats(part.notes, beats)
        reason = not_alive(notes.velocity)
        extra = instrument is OTHER or bool(reason)
        if reason and len(notes) >= ALIVE_NOTES and not teaches_nothing(notes.velocity):
            reason = ""
        if not reason and notes.onset_beats[-1] - notes.onset_beats[0] > LONGEST_BEATS:
            reason = "impossible times"
        if reason:
            reasons[reason] += 1
        else:
            performed = _performed(notes, keys_released(smf, part.notes))
            kept.append(raw_part(performed, instrument, pack=pack.name, song=song, source=source, extra=extra))
    return kept, reasons


def _instrument_of(part: Part, pack: Pack) -> Instrument | None:
    if part.is_drums:
        return None
    if part.program >= 0:
        return OTHER if part.program in OTHER.programs else instrument_of_program(part.program)
    named = instrument_of_track_name(part.name)
    return get_instrument(pack.instrument) if named is None and pack.instrument is not None else named


def _keys(where: str, parts: Sequence[RawPart]) -> list[int]:
    """A key for each part of a file; extra parts are numbered for themselves, so that they do not move the others."""
    number = {False: itertools.count(), True: itertools.count()}
    kind = {False: "", True: "extra/"}
    return [_key(f"{where}/{kind[part.row.extra]}{next(number[part.row.extra])}") for part in parts]


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")


def _read_beats(path: Path) -> FloatArray | None:
    """The table of beats, (K, 3), or None if there is no such file; ValueError if it holds something else."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    rows = [line.split() for line in text.splitlines() if line.strip()]
    beats = np.array(rows, dtype=np.float64)
    if beats.ndim != 2 or beats.shape[1] != 3 or not np.isfinite(beats).all() or (np.diff(beats[:, 0]) <= 0).any():
        raise ValueError(f"{path}: needs three numbers a row, times rising")
    return beats


def _performed(notes: NoteTable, released: BoolArray) -> PerformedNotes:
    return PerformedNotes(
        onset_beats=notes.onset_beats, duration_beats=notes.duration_beats, pitch=notes.pitch, velocity=notes.velocity,
        program=notes.program, tempo_bpm=notes.tempo_bpm, bar=notes.bar, beat_in_bar=notes.beat_in_bar,
        bar_beats=notes.bar_beats, released=released,
    )


def _on_beats(notes: NoteTable, beats: FloatArray) -> NoteTable:
    """The part with its beats, bars and tempo taken from a table of beats (K, 3) instead of the file."""
    times, downbeats = beats[:, 0], np.flatnonzero(beats[:, 2] > 0.5)
    if len(times) < 4 or not len(downbeats):
        return notes
    number = np.arange(len(times), dtype=np.float64)

    def to_beats(seconds: FloatArray) -> FloatArray:
        inside = np.interp(seconds, times, number)
        before = np.minimum(seconds - times[0], 0.0) / (times[1] - times[0])
        after = np.maximum(seconds - times[-1], 0.0) / (times[-1] - times[-2])
        return np.asarray(inside + before + after)

    onset = to_beats(notes.onset_seconds)
    # The table's beats lie a constant time off the notes': move the onsets onto the nearest sixteenths as a whole.
    onset = onset - np.angle(np.mean(np.exp(8j * np.pi * onset))) / (8 * np.pi)
    beat = np.clip(np.floor(onset).astype(np.int64), 0, len(times) - 2)
    # A downbeat that comes a hair early belongs to its bar, not to the end of the one before.
    bar = np.clip(np.searchsorted(downbeats, onset + EARLY_BEATS, "right") - 1, 0, len(downbeats) - 1)
    lengths = np.append(np.diff(downbeats), 4)
    place = onset - downbeats[bar]
    place = np.where(place >= -EARLY_BEATS, np.maximum(place, 0.0), np.mod(place, lengths[bar]))
    return replace(
        notes,
        onset_beats=onset,
        duration_beats=to_beats(notes.onset_seconds + notes.duration_seconds) - to_beats(notes.onset_seconds),
        tempo_bpm=60.0 / np.diff(times)[beat],
        bar=bar,
        beat_in_bar=place,
        bar_beats=lengths[bar].astype(np.float64),
    )
