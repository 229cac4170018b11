"""Folders of MIDI -> a prepared data set: parts of our instruments, filtered, without duplicates, split by song.

Conventions
-----------
A *pack* is one folder given; its name is kept with every part. Beats come from the file's own tempo map, or from a
``NAME.beats.txt`` beside ``NAME.mid`` (POP909's format: a row per beat with its time in seconds, whether a 2/4 bar
begins there, and whether a 4/4 bar does). What is written follows from the files alone, whatever the number of jobs.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duvhuman.errors import DataError, MidiError
from duvhuman.humanize.score import UNKNOWN_PROGRAM, FloatArray, IntArray, grid_share, has_grid
from duvhuman.instruments import Instrument, get_instrument, instrument_of_program, instrument_of_track_name
from duvhuman.midi.notes import NoteTable, read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.train.dataset import (
    ALIVE_DISTINCT,
    ALIVE_NOTES,
    ALIVE_SD,
    COLUMNS,
    TEMPO_UNIT,
    TICKS_PER_BEAT,
    PartRow,
    save_parts,
)

PLAYED_EXACT, PLAYED_NEAR = 0.5, 0.4
"""Played by hand: less than half of the onsets exactly on a sixteenth, over 40 % within a tenth of one."""
BAR_OCCURRENCES = 2
"""A bar that repeats (pitch, time and velocity) counts this often."""
SHARED_BARS = 6
"""Files with this many distinct bars in common (pitch and time) are versions of one song."""
SHARED_BAR_NOTES = 8
EARLY_BEATS = 0.02
MIDI_SUFFIXES = (".mid", ".midi")


@dataclass(frozen=True)
class Pack:
    """A folder of MIDI, and the instrument of its parts that name none (None: such parts are left out)."""

    folder: Path
    instrument: str | None = None

    @classmethod
    def parse(cls, text: str) -> Pack:
        """Read ``FOLDER`` or ``FOLDER=INSTRUMENT``; OptionError for an unknown instrument."""
        if "=" in text and not Path(text).is_dir():
            folder, name = text.rsplit("=", 1)
            return cls(Path(folder), get_instrument(name).name)
        return cls(Path(text))


@dataclass(frozen=True)
class RawPart:
    """A part as one file gives it: its row (``start`` 0, ``split`` empty), columns, and what identifies it."""

    row: PartRow
    columns: dict[str, NDArray[np.generic]]
    fingerprint: bytes
    bars: frozenset[bytes]


@dataclass(frozen=True)
class Summary:
    """What `prepare` kept and what it left out, by reason."""

    parts: int
    notes: int
    left_out: dict[str, int]


def prepare(
    packs: Sequence[Pack], out: str | PathLike[str], *, valid_share: float = 0.06, jobs: int = 1
) -> Summary:  # fmt: skip
    """Read every MIDI file below the folders of `packs` and write a prepared data set into `out`.

    Parameters
    ----------
    valid_share : the share of songs held out for validation, 0..1; which ones follows from their names alone.
    jobs : processes to read with.

    Raises
    ------
    DataError
        If a folder does not exist, or nothing usable is found (the message says which filter removed what).
    FileError
        If `out` cannot be written.
    """
    files = list(_midi_files(packs))
    left_out: Counter[str] = Counter()
    raw: list[RawPart] = []
    seen: set[bytes] = set()
    for parts, reasons in _read_all(files, jobs):
        left_out.update(reasons)
        for part in parts:
            if part.fingerprint in seen:
                left_out["duplicate of another part"] += 1
            else:
                seen.add(part.fingerprint)
                raw.append(part)
    if not raw:
        reasons_text = ", ".join(f"{count} parts: {reason}" for reason, count in left_out.most_common()) or "no notes"
        raise DataError(f"{len(files)} files hold no usable part ({reasons_text})")
    songs = _songs(raw)
    rows: list[PartRow] = []
    position = 0
    for part in raw:
        notes = len(part.columns["pitch"])
        song = songs[part.row.song]
        split = "valid" if _fraction(song) < valid_share else "train"
        rows.append(replace(part.row, song=song, split=split, start=position, stop=position + notes))
        position += notes
    columns = {name: np.concatenate([part.columns[name] for part in raw]) for name in COLUMNS}
    save_parts(Path(out), rows, columns)
    return Summary(parts=len(rows), notes=position, left_out=dict(left_out))


def _midi_files(packs: Sequence[Pack]) -> Iterator[tuple[Pack, Path]]:
    for pack in packs:
        if not pack.folder.is_dir():
            raise DataError(f"{pack.folder}: no such folder; name folders of MIDI files")
        for path in sorted(pack.folder.rglob("*")):
            if path.suffix.lower() in MIDI_SUFFIXES:
                yield pack, path


def _read_all(files: list[tuple[Pack, Path]], jobs: int) -> Iterable[tuple[list[RawPart], Counter[str]]]:
    if jobs <= 1:
        yield from map(read_file, files)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(read_file, files, chunksize=16)


def read_file(file: tuple[Pack, Path]) -> tuple[list[RawPart], Counter[str]]:
    """The usable parts of one MIDI file, given as (pack, path), and why the other parts were left out."""
    pack, path = file
    reasons: Counter[str] = Counter()
    try:
        parts = read_parts(parse_smf(path.read_bytes(), source=str(path)))
    except (MidiError, OSError):
        return [], Counter({"unreadable file": 1})
    try:
        beats = _read_beats(path.with_name(path.stem + ".beats.txt"))
    except (ValueError, OSError):
        return [], Counter({"unreadable table of beats": 1})
    kept: list[RawPart] = []
    for part in parts:
        instrument = instrument_of_program(part.program) if part.program >= 0 else instrument_of_track_name(part.name)
        if instrument is None and part.program < 0 and pack.instrument is not None:
            instrument = get_instrument(pack.instrument)
        if part.is_drums or instrument is None:
            reasons["another instrument or drums"] += 1
            continue
        reason = _not_alive(part.notes)
        if reason:
            reasons[reason] += 1
            continue
        notes = part.notes if beats is None else _on_beats(part.notes, beats)
        kept.append(_raw_part(pack.folder, path, notes, instrument))
    return kept, reasons


def _read_beats(path: Path) -> FloatArray | None:
    """The table of beats, (K, 3), or None if there is no such file; ValueError if it holds something else."""
    if not path.exists():
        return None
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    beats = np.array(rows, dtype=np.float64)
    if beats.ndim != 2 or beats.shape[1] != 3 or not np.isfinite(beats).all() or (np.diff(beats[:, 0]) <= 0).any():
        raise ValueError(f"{path}: needs three numbers a row, times rising")
    return beats


def _not_alive(notes: NoteTable) -> str:
    """Why the part would teach nothing, or an empty string."""
    if len(notes) < ALIVE_NOTES:
        return f"fewer than {ALIVE_NOTES} notes"
    if len(np.unique(notes.velocity)) < ALIVE_DISTINCT or notes.velocity.std() < ALIVE_SD:
        return "velocities nearly flat"
    return ""


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


def _raw_part(folder: Path, path: Path, notes: NoteTable, instrument: Instrument) -> RawPart:
    grid = has_grid(notes.onset_beats)
    sixteenths = notes.onset_beats * 4
    exact = float(np.mean(np.abs(sixteenths - np.round(sixteenths)) < 1e-3))
    played = not grid or (exact < PLAYED_EXACT and grid_share(notes.onset_beats, 4) > PLAYED_NEAR)
    position = np.round(notes.beat_in_bar * 48).astype(np.int64)
    bar = notes.bar if grid else np.zeros(len(notes), dtype=np.int64)
    played_bars = _bar_keys(bar, position, notes.pitch, notes.velocity)
    written_bars = _bar_keys(bar, position, notes.pitch) if grid else []
    default = instrument.default_program
    columns: dict[str, NDArray[np.generic]] = {
        "onset": np.round((notes.onset_beats - notes.onset_beats[0]) * TICKS_PER_BEAT).astype(np.int32),
        "duration": np.clip(np.round(notes.duration_beats * TICKS_PER_BEAT), 0, 65535).astype(np.uint16),
        "pitch": notes.pitch.astype(np.uint8),
        "velocity": notes.velocity.astype(np.uint8),
        "program": np.where(notes.program < 0, default, np.minimum(notes.program, UNKNOWN_PROGRAM)).astype(np.uint8),
        "tempo": np.clip(np.round(notes.tempo_bpm / TEMPO_UNIT), 10 / TEMPO_UNIT, 65535).astype(np.uint16),
        "beat_in_bar": np.clip(np.round(notes.beat_in_bar * TICKS_PER_BEAT), 0, 65535).astype(np.uint16),
        "bar_beats": np.clip(np.round(notes.bar_beats * TICKS_PER_BEAT), 120, 65535).astype(np.uint16),
        "wanted": _rare_enough(bar, played_bars) if grid else np.ones(len(notes), dtype=np.bool_),
    }
    order = np.lexsort((columns["pitch"], columns["onset"]))
    columns = {name: values[order] for name, values in columns.items()}
    row = PartRow(
        pack=folder.name, song=f"{folder.name}/{_song_name(path)}", source=path.relative_to(folder).as_posix(),
        instrument=instrument.name, split="", start=0, stop=0, grid=grid, played=played,
        level=round(float(notes.velocity.mean()), 2), range=round(float(notes.velocity.std()), 2),
    )  # fmt: skip
    intervals = np.diff(columns["onset"].astype(np.int64))
    fingerprint = _digest(columns["pitch"], columns["velocity"], intervals)
    bars = frozenset(key for key, count in written_bars if count >= SHARED_BAR_NOTES)
    return RawPart(row=row, columns=columns, fingerprint=fingerprint, bars=bars)


def _bar_keys(bar: IntArray, *columns: IntArray) -> list[tuple[bytes, int]]:
    """(digest of the bar's content, number of notes) for each run of notes in one bar."""
    edges = np.append(np.flatnonzero(np.append(True, np.diff(bar) != 0)), len(bar))
    return [(_digest(*(column[a:b] for column in columns)), int(b - a)) for a, b in itertools.pairwise(edges)]


def _rare_enough(bar: IntArray, keys: list[tuple[bytes, int]]) -> NDArray[np.bool_]:
    """(N,) False for the notes of a bar that has been seen `BAR_OCCURRENCES` times before in the part."""
    seen: Counter[bytes] = Counter()
    wanted = np.empty(len(bar), dtype=np.bool_)
    position = 0
    for key, count in keys:
        wanted[position : position + count] = seen[key] < BAR_OCCURRENCES
        seen[key] += 1
        position += count
    return wanted


def _song_name(path: Path) -> str:
    """The file's name without its suffix and without a trailing recording id (GiantMIDI: "..., Title, id.mid")."""
    return re.sub(r", [\w-]{11}$", "", path.stem)


def _songs(raw: Sequence[RawPart]) -> dict[str, str]:
    """Song -> the name of the group of songs that are versions of each other."""
    parent = {part.row.song: part.row.song for part in raw}

    def root(song: str) -> str:
        while parent[song] != song:
            parent[song] = parent[parent[song]]
            song = parent[song]
        return song

    songs_with: defaultdict[bytes, set[str]] = defaultdict(set)
    for part in raw:
        for key in part.bars:
            songs_with[key].add(part.row.song)
    shared: Counter[tuple[str, str]] = Counter()
    for songs in songs_with.values():
        shared.update(itertools.combinations(sorted(songs), 2))
    for (one, other), bars in shared.items():
        if bars >= SHARED_BARS:
            low, high = sorted((root(one), root(other)))
            parent[high] = low
    return {song: root(song) for song in parent}


def _fraction(text: str) -> float:
    """A number in 0..1 that follows from the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _digest(*columns: NDArray[np.generic]) -> bytes:
    content = b"|".join(np.ascontiguousarray(column, dtype=np.int64).tobytes() for column in columns)
    return hashlib.blake2b(content, digest_size=12).digest()
