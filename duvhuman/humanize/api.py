"""The public functions: `humanize`, `predict` and `load`.

Conventions
-----------
The input is never modified. A `Humanizer` may be used from several threads; the children of a process that is forked
after one was made compute on one thread (`duvhuman.humanize.networks.mind_forks`).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, TypeVar, Unpack, overload

import numpy as np

from duvhuman.arrays import BoolArray
from duvhuman.errors import DataError, warn
from duvhuman.humanize.articulate import most_growth
from duvhuman.humanize.balance import SOFTEST, hands_of, written_balance
from duvhuman.humanize.company import TAKE_SHARE, company, has_dynamics
from duvhuman.humanize.keyed import seed_of_player
from duvhuman.humanize.like import Liked, instruments_of, open_takes, personal_adapter, tells_little
from duvhuman.humanize.networks import load_network
from duvhuman.humanize.options import DEFAULT_VARIATION, AllOptions, Options, PathName, PlayOptions
from duvhuman.humanize.perform import perform
from duvhuman.humanize.played_file import How, PlayedFile, PlayedPart
from duvhuman.humanize.report import Prediction
from duvhuman.humanize.room import Room, fit_lengths, room_to_ring
from duvhuman.humanize.score import score_of
from duvhuman.humanize.selection import Choice, choose_parts
from duvhuman.instruments import AUTO, INSTRUMENTS, Instrument, instrument_name, pitch_range
from duvhuman.midi.damage import damage
from duvhuman.midi.edit import apply_performance
from duvhuman.midi.interop import MidiFile, Source, open_midi
from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.smf import SmfFile, parse_smf
from duvhuman.models.device import check_device
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.store import find_adapter, find_model
from duvhuman.rhythm.band import Beats, find_beats

T = TypeVar("T")
FileLike = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | MidiFile
FEW_KEY_SWITCHES = 0.25
"""Of a part that holds a larger share of them it is told: they may be music."""


@overload
def humanize(midi: FileLike, instrument: str, **options: Unpack[AllOptions]) -> MidiFile: ...
@overload
def humanize(midi: T, instrument: str, **options: Unpack[AllOptions]) -> T: ...
def humanize(
    midi: object,
    instrument: str,
    *,
    intensity: float = 1.0,
    variation: float = DEFAULT_VARIATION,
    seed: int | None = None,
    dynamics: str = "keep",
    velocity: bool = True,
    duration: bool = True,
    tracks: Collection[int] | None = None,
    protect: Collection[int] | None = None,
    follow: bool = True,
    adapter: PathName | None = "default",
    like: object = None,
    model: PathName | None = None,
    device: str = "auto",
) -> object:
    """Give a flat part the velocities and note lengths that a player would.

    Parameters
    ----------
    midi : a path, bytes, a binary file object, `pretty_midi.PrettyMIDI`, `mido.MidiFile`, `symusic.Score` or
        `duvhuman.MidiFile`.
    instrument : "guitar", "bass", "keys", "strings" or an alias; "auto" plays each part as its program says, or, if it
        has none, as its track's name says. With a named instrument the parts of that instrument and parts without a
        program change are played; if there are none, every part but drums is.
    intensity : 0 (the input, byte for byte) to 1 (as predicted).
    variation : 0 (the performance to be expected) to 1 (one drawn from the prediction). Of two parts alike each is
        drawn for itself.
    seed : of the draw, 0 and up; the same input and seed give the same bytes. None draws one and reports it.
    dynamics : "keep" keeps the p, f, swells and accents that are written, and plays the notes that are written alike;
        "replace" keeps their mean alone.
    velocity, duration : False leaves velocities, or lengths, alone.
    tracks : indices of the tracks to play, from 0 (of an object's own `instruments` or `tracks`, as in reports); no
        other track changes. With a named instrument they are played whatever their programs say, but for drums.
    protect : pitches to leave alone beside those outside the instrument's range (usually key-switches); an empty list
        protects none.
    follow : True lets a flat part, or one in which hardly anything is written, follow those parts of the file that are
        played with dynamics (32 notes or more, an SD of 3, five different velocities), drums included; with "replace"
        only those that are not played themselves. False plays it as if it were alone.
    adapter : "default" (the one that comes with the model), a folder or name, or None for the bare base.
    like : a take of a player (anything that `midi` may be), or a list of takes: play as in these. A personal adapter is
        fitted to them on top of `adapter`, in seconds, and kept in a cache for the next time. With "auto" it is fitted
        for the instruments of the takes; other parts are played without it.
    model : a folder, or ``"org/name@revision"``; None for the one in ``$DUVHUMAN_MODELS``, else the one that comes with
        duvhuman.
    device : "auto" (CUDA where there is one), "cpu", "cuda", ...

    Returns
    -------
    A new object of the type of `midi`; for paths, bytes and file objects a `duvhuman.MidiFile` with ``.save(path)``
    and ``.report``. It differs from the input in note-on velocities and note-off times alone, and in the end of a track
    that its last note outlasts.

    Raises
    ------
    DuvhumanError
        `MidiError` for input that is not MIDI, `FileError` for a path that cannot be read, `OptionError` for an
        argument out of range, `ModelError` for weights missing or corrupt, `DataError` for takes with nothing to learn
        from (flat, too short, drums only).

    Warns
    -----
    DuvhumanWarning
        Among others if nothing was played (the input then comes back unchanged), parts that are called another
        instrument were, many notes were taken for key-switches, a file is damaged, or a take tells little.
    """
    options: PlayOptions = {
        "intensity": intensity, "variation": variation, "seed": seed, "dynamics": dynamics, "velocity": velocity,
        "duration": duration, "tracks": tracks, "protect": protect, "follow": follow,
    }
    source = _checked(midi, options)
    return load(instrument, adapter=adapter, like=like, model=model, device=device).humanize(source, **options)


def predict(
    midi: object,
    instrument: str,
    *,
    intensity: float = 1.0,
    variation: float = DEFAULT_VARIATION,
    seed: int | None = None,
    dynamics: str = "keep",
    velocity: bool = True,
    duration: bool = True,
    tracks: Collection[int] | None = None,
    protect: Collection[int] | None = None,
    follow: bool = True,
    adapter: PathName | None = "default",
    like: object = None,
    model: PathName | None = None,
    device: str = "auto",
) -> Prediction:
    """What `humanize` would play, as arrays; arguments and errors are those of `humanize`."""
    options: PlayOptions = {
        "intensity": intensity, "variation": variation, "seed": seed, "dynamics": dynamics, "velocity": velocity,
        "duration": duration, "tracks": tracks, "protect": protect, "follow": follow,
    }
    source = _checked(midi, options)
    return load(instrument, adapter=adapter, like=like, model=model, device=device).predict(source, **options)


def _checked(midi: object, options: PlayOptions) -> Source:
    """The input; what is wrong with it, or with the options, is told before an adapter is fitted."""
    Options.of(options)
    return open_midi(midi)


def load(
    instrument: str,
    *,
    adapter: PathName | None = "default",
    like: object = None,
    model: PathName | None = None,
    device: str = "auto",
) -> Humanizer:
    """A player to keep warm: the network is read once; arguments and errors are those of `humanize`."""
    return Humanizer(instrument, adapter=adapter, like=like, model=model, device=device)


class Humanizer:
    """An instrument, or "auto", with its weights in memory; see `humanize` for the arguments.

    The weights of a named instrument are read at once, those of "auto" when the first part needs them; what happens to
    their files afterwards changes nothing. Personal adapters are fitted at once.
    """

    def __init__(
        self,
        instrument: str,
        *,
        adapter: PathName | None = "default",
        like: object = None,
        model: PathName | None = None,
        device: str = "auto",
    ) -> None:
        self.instrument = instrument_name(instrument)
        self._adapter, self._model, self._device = adapter, model, check_device(device)
        self._told: list[str] = []
        self._liked = {} if like is None else self._fit(like)
        self._networks: dict[str, PhraseTransformer] = {}
        if self.instrument != AUTO:
            self._network(INSTRUMENTS[self.instrument])

    def __repr__(self) -> str:
        return f"<duvhuman.Humanizer {self.instrument!r}>"

    @overload
    def humanize(self, midi: FileLike, **options: Unpack[PlayOptions]) -> MidiFile: ...
    @overload
    def humanize(self, midi: T, **options: Unpack[PlayOptions]) -> T: ...
    def humanize(self, midi: object, **options: Unpack[PlayOptions]) -> object:
        """Play `midi`; the keyword arguments are those of `humanize` from `intensity` to `follow`, which are no others.

        What else must be known, such as ``like``, is told to `load`.
        """
        chosen = Options.of(options)
        source = open_midi(midi)
        played = self._play(source, chosen)
        return source.restore(played.result.to_bytes(), played.report())

    def predict(self, midi: object, **options: Unpack[PlayOptions]) -> Prediction:
        """What `humanize` would play; the same keyword arguments."""
        chosen = Options.of(options)
        return self._play(open_midi(midi), chosen).prediction()

    def _play(self, source: Source, options: Options) -> PlayedFile:
        seed, told = options.drawn_seed(), list(self._told)

        def tell(message: str) -> None:
            told.append(f"{source.name}: {message}")
            warn(told[-1])

        smf = parse_smf(source.data, source=source.name)
        if broken := damage(smf):
            tell(f"cut short or damaged: {broken}; what is there is played, the rest stays as it is")
        read = self._read_parts(smf, options)
        selection = choose_parts(read, self.instrument, options.tracks, n_tracks=len(smf.tracks) - source.hidden)
        if selection.notice:
            tell(selection.notice)
        rooms = room_to_ring(smf, read)
        wanted = any(choice.instrument is not None for choice in selection.choices)
        beats = find_beats(read, tracks_apart=smf.format == 2) if wanted else None
        lively = [
            choice.part for choice in selection.choices
            if has_dynamics(choice.part) and (choice.instrument is None or options.dynamics == "keep")  # else set aside
        ] if options.follow and smf.format != 2 else []
        everyone = choose_parts(read, self.instrument).choices  # with those that are not chosen, which have draws, too
        players = [
            choice.instrument or other.instrument for choice, other in zip(selection.choices, everyone, strict=True)
        ]
        parts = [
            self._play_part(
                choice, room, beats, [part for part in lively if part is not choice.part], options,
                seed_of_player(seed, players[:index].count(players[index])),
            )
            for index, (choice, room) in enumerate(zip(selection.choices, rooms, strict=True))
        ]
        played = [part for part in parts if part.how is not None]
        for part in played:
            if notice := _many_key_switches(part.choice, options.protect):
                tell(notice)
        if not played:
            reasons = sorted({part.skipped for part in parts}) or ["no notes"]
            tell(f"nothing to play ({'; '.join(reasons)}); it comes back unchanged")
        elif self._liked and not any(part.how and part.how.like for part in played):
            tell(f"nothing is played like the take, which is of {' and '.join(self._liked)}; no such part is played")
        result = apply_performance(smf, [(part.notes, part.velocity, part.duration_ticks) for part in played])
        # What is told is what was written: where notes of one pitch overlap, not every length is possible.
        again = self._read_parts(result, options)
        written = [part.as_written(after.notes) for part, after in zip(parts, again, strict=True)]
        return PlayedFile(seed, written, result, str(beats) if beats is not None and played else "", tuple(told))

    def _read_parts(self, smf: SmfFile, options: Options) -> list[Part]:
        return read_parts(smf, instrument=None if self.instrument == AUTO else self.instrument, chosen=options.tracks)

    def _play_part(
        self, choice: Choice, room: Room, beats: Beats | None, others: list[Part], options: Options, seed: int
    ) -> PlayedPart:
        notes = choice.part.notes
        if choice.instrument is None:
            return PlayedPart(choice, notes.velocity, notes.duration_ticks, skipped=choice.reason)
        named = np.isin(notes.pitch, list(options.protect or ()))
        free = ~_key_switches(choice.part, choice.instrument, options.protect) & ~named
        if not free.any():
            reason = f"all notes outside the range of the {choice.instrument.name} or protected"
            return PlayedPart(choice, notes.velocity, notes.duration_ticks, skipped=reason)
        network = self._network(choice.instrument)
        seen = notes.select(free)
        score = score_of(seen, choice.instrument, beats, name=choice.part.name)
        written, hand = seen.velocity.astype(np.float64), hands_of(seen)
        keep = options.dynamics == "keep"
        lift = written_balance(written, hand, score) if keep else np.zeros(len(written))
        liked = self._liked.get(choice.instrument.name)
        heard = others if options.velocity else []
        louder = company(heard, seen.onset_seconds, seen.pitch, choice.instrument.name) if heard else None
        if louder is not None and liked is not None:
            louder *= TAKE_SHARE
        played = perform(
            network, score, written - lift, keep_dynamics=keep, hand=hand, lift=lift,
            company=louder, variation=float(options.variation), seed=seed,
        )
        velocity, duration = notes.velocity.copy(), notes.duration_ticks.copy()
        if options.velocity:
            wanted = np.round(written + float(options.intensity) * (played.velocity - written))
            velocity[free] = np.clip(wanted, np.minimum(written, SOFTEST), 127).astype(np.int64)
        if options.duration and options.intensity > 0:
            growth = (played.duration_beats / score.nominal_beats) ** float(options.intensity)
            wanted = np.round(seen.duration_ticks * growth)
            longest = np.floor(most_growth(score, hand) * seen.duration_ticks)
            duration[free] = np.minimum(wanted, longest).astype(np.int64)
            duration = fit_lengths(notes, duration, room)
        selected = np.full(len(notes), True) if options.tracks is None else np.isin(notes.track, list(options.tracks))
        velocity = np.where(selected, velocity, notes.velocity)  # the other hand is heard, but not changed
        duration = np.where(selected, duration, notes.duration_ticks)
        followed = heard if played.followed else []
        how = How(free, selected, played, network.config, None if liked is None else liked.report, followed)
        return PlayedPart(choice, velocity, duration, how=how)

    def _network(self, instrument: Instrument) -> PhraseTransformer:
        name = instrument.name
        if name not in self._networks:
            liked, (folder, adapter) = self._liked.get(name), self._weights(name)
            self._networks[name] = load_network(folder, liked.folder if liked else adapter, self._device, name)
        return self._networks[name]

    def _weights(self, instrument: str) -> tuple[Path, Path | None]:
        """The folders of the model and of the adapter that was asked for."""
        folder = find_model(instrument, self._model)
        return folder, find_adapter(instrument, self._adapter, folder)

    def _fit(self, like: object) -> dict[str, Liked]:
        """The personal adapter for each instrument of the takes."""
        takes = instruments_of(open_takes(like), self.instrument)
        liked: dict[str, Liked] = {}
        refused: list[DataError] = []
        for name, sources in takes.items():
            folder, adapter = self._weights(name)
            try:
                liked[name] = personal_adapter(
                    sources, INSTRUMENTS[name], marked_only=self.instrument == AUTO, model=folder, start=adapter,
                    device=self._device,
                )
            except DataError as error:
                refused.append(error)
        if not liked:
            raise refused[0]
        self._told += [f"{reason} (it is played without)" for reason in refused]
        self._told += filter(None, (tells_little(name, one.report) for name, one in liked.items()))
        for message in self._told:
            warn(message)
        return liked


def _key_switches(part: Part, instrument: Instrument, protect: Collection[int] | None) -> BoolArray:
    """(N,) True for the notes beyond what `instrument` plays, which are left alone unless `protect` names no pitch."""
    low, high = pitch_range(instrument, part.program, part.name)
    pitch = part.notes.pitch
    return ((pitch < low) | (pitch > high)) & (protect is None or len(protect) > 0)


def _many_key_switches(choice: Choice, protect: Collection[int] | None) -> str:
    """What to say if more than `FEW_KEY_SWITCHES` of the notes of a part are left alone as such, which may be music."""
    part, instrument = choice.part, choice.instrument
    if instrument is None:
        return ""
    out = _key_switches(part, instrument, protect) & ~np.isin(part.notes.pitch, list(protect or ()))
    if out.mean() <= FEW_KEY_SWITCHES:
        return ""
    low, high = pitch_range(instrument, part.program, part.name)
    return (
        f"{out.sum()} of {len(out)} notes of {part.name or f'track {part.tracks[0]}'!r} lie outside {low} to {high}, "
        f"are taken for key-switches of the {instrument.name} and left alone; protect=[] (--protect none) plays them"
    )
