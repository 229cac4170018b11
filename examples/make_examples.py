"""Writes the flat parts of examples/midi: what a notation program gives before anybody has played it.

Run ``python examples/make_examples.py`` to write them again; the files are the same each time.

Conventions
-----------
Every note has velocity 80 and lasts exactly as long as it is written. 480 ticks per quarter note. Music is written
as words: ``C#4:1`` is a note of one beat (a quarter note), ``C4+E4+G4`` a chord, ``r`` a rest; a length holds until
the next one (``D5:1 G4:.5 A4``), ``2/3`` is legal, and ``|`` closes a bar. A bar that is not full is an error.

The music: the ground and first variations of Pachelbel's Canon, Petzold's Minuet in G from the Notebook for Anna
Magdalena Bach, the traditional tunes Greensleeves and Drunken Sailor (all in the public domain; arranged here), and
a walking bass line of our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import mido

VELOCITY = 80
TICKS_PER_BEAT = 480
DRUM_CHANNEL = 9
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHARPS_AND_FLATS = {"#": 1, "b": -1}


@dataclass(frozen=True)
class Note:
    """One note: onset and length in beats since the start, pitch as a MIDI note number."""

    onset: Fraction
    length: Fraction
    pitch: int


@dataclass(frozen=True)
class Voice:
    """One track: its title, MIDI channel, General MIDI program (None: drums) and notes."""

    name: str
    channel: int
    program: int | None
    notes: list[Note]


def pitch(name: str) -> int:
    """The MIDI note number of a name; ``C4`` is 60."""
    step, accidental, octave = name[0], name[1:-1], int(name[-1])
    return 12 * (octave + 1) + STEPS[step] + sum(SHARPS_AND_FLATS[sign] for sign in accidental)


def read(words: str, *, bar: int = 4, start: Fraction | int = 0, shift: int = 0) -> list[Note]:
    """The notes that the words spell, from beat `start` on, in bars of `bar` beats, `shift` semitones higher."""
    now, length, notes = Fraction(start), Fraction(1), []
    for word in words.replace("|", " | ").split():
        if word == "|":
            if (now - start) % bar:
                raise ValueError(f"the bar that ends at beat {float(now)} does not have {bar} beats")
            continue
        names, _, written = word.partition(":")
        length = Fraction(written) if written else length
        if names != "r":
            notes += [Note(now, length, pitch(name) + shift) for name in names.split("+")]
        now += length
    return notes


def guitar() -> list[Note]:
    """Greensleeves in E minor, 6/8: verses picked, choruses strummed under the tune."""
    # Lengths are eighths here (a bar has six); they are halved into beats below.
    verse = (
        "G4:2 A4:1 B4:1.5 C5:.5 B4:1 | A4:2 F#4:1 D4:1.5 E4:.5 F#4:1 | G4:2 E4:1 E4:1.5 D#4:.5 E4:1 |"
        "F#4:2 D#4:1 B3:2 E4:1 | G4:2 A4:1 B4:1.5 C5:.5 B4:1 | A4:2 F#4:1 D4:1.5 E4:.5 F#4:1 |"
        "G4:1.5 F#4:.5 E4:1 D#4:1.5 C#4:.5 D#4:1 | E4:3 E4:3 |"
    )
    chorus = (
        "D5:3 D5:1.5 C#5:.5 B4:1 | A4:2 F#4:1 D4:1.5 E4:.5 F#4:1 | G4:2 E4:1 E4:1.5 D#4:.5 E4:1 |"
        "F#4:2 D#4:1 B3:3 | D5:3 D5:1.5 C#5:.5 B4:1 | A4:2 F#4:1 D4:1.5 E4:.5 F#4:1 |"
        "G4:1.5 F#4:.5 E4:1 D#4:1.5 C#4:.5 D#4:1 | E4:3 E4:3 |"
    )
    chords = {  # the bass string, then what the other fingers hold
        "Em": "E2 B2 E3 G3 B3", "G": "G2 B2 D3 G3 B3", "D": "D3 A3 D4", "Bm": "B2 F#3 B3 D4",
        "C": "C3 E3 G3 C4", "B": "B2 F#3 A3 D#4",
    }
    verse_chords = "Em G D Bm C C B B Em G D Bm C B Em Em".split()
    chorus_chords = "G G D Bm C C B B G G D Bm C B Em Em".split()

    def accompany(tune: list[Note], names: list[str], *, strummed: bool) -> list[Note]:
        notes = []
        for half, name in enumerate(names):  # half a bar: three eighths
            bass, *others = [pitch(string) for string in chords[name].split()]
            onset = tune[0].onset + 3 * half
            notes.append(Note(onset, Fraction(3), bass))
            for eighth in (1, 2):
                end = onset + eighth + 1
                held = {note.pitch for note in tune if note.onset < end and note.onset + note.length > onset}
                free = [string for string in others if string not in held and string < max(held)]
                if not strummed:
                    free = free[eighth - 1 : eighth] or free[-1:]
                notes += [Note(onset + eighth, Fraction(1), string) for string in free]
        return notes

    song = [Note(Fraction(5), Fraction(1), pitch("E4"))]
    start = 6
    for words, names, strummed in ((verse, verse_chords, False), (chorus, chorus_chords, True)) * 2:
        tune = read(words, bar=6, start=start)
        song += tune + accompany(tune, names, strummed=strummed)
        start += 6 * len(names) // 2
    song += [Note(Fraction(start), Fraction(6), pitch(name)) for name in ("E2", "B2", "E3", "G3", "B3", "E4")]
    return [Note(note.onset / 2, note.length / 2, note.pitch) for note in song]


def bass() -> list[Note]:
    """Two choruses of a walking line over a blues in F, with a few skipped triplets (own writing)."""
    return read(
        "F1:1 A1 C2 A1 | Bb1 D2 F2 E2 | Eb2 C2 A1 G1 | C2 A1:2/3 A1:1/3 G1:1 A1 |"
        "Bb1 Ab1 F1 Bb1 | B1 D2 F2 D2 | C2 A1 F1 Eb2 | D2 F#1 A1:2/3 A1:1/3 Ab1:1 |"
        "G1 Bb1 D2 Db2 | C2 E2 G2 E2 | F2 C2 D2 Ab1 | G1 D2 C2 E1 |"
        "F1 F2:2/3 C2:1/3 D2:1 A1 | Bb1 F1 Ab1 B1 | C2 Eb2 D2 F1 | A1 C2 Eb2 E2 |"
        "F2 D2 Bb1:2/3 F1:1/3 Ab1:1 | B1 F2 D2 Db2 | C2 F1 A1 C2 | Eb2 D2 A1:2/3 F#1:1/3 A1:1 |"
        "G1 A1 Bb1 B1 | C2 G1 Bb1 E1 | F1 A1 D2 F#1 | G1 Db2 C2 Gb1 |"
        "F1:2/3 C2:1/3 F2:1 r:1 F1:1 |"
    )


def keys() -> tuple[list[Note], list[Note]]:
    """Petzold's Minuet in G, 3/4: right and left hand."""
    right = """
    D5:1 G4:.5 A4 B4 C5 | D5:1 G4 G4 | E5 C5:.5 D5 E5 F#5 | G5:1 G4 G4 | C5 D5:.5 C5 B4 A4 | B4:1 C5:.5 B4 A4 G4 |
    F#4:1 G4:.5 A4 B4 G4 | A4:3 | D5:1 G4:.5 A4 B4 C5 | D5:1 G4 G4 | E5 C5:.5 D5 E5 F#5 | G5:1 G4 G4 |
    C5 D5:.5 C5 B4 A4 | B4:1 C5:.5 B4 A4 G4 | A4:1 B4:.5 A4 G4 F#4 | G4:3 |
    B5:1 G5:.5 A5 B5 G5 | A5:1 D5:.5 E5 F#5 D5 | G5:1 E5:.5 F#5 G5 D5 | C#5:1 B4:.5 C#5 A4:1 |
    A4:.5 B4 C#5 D5 E5 F#5 | G5:1 F#5 E5 | F#5 A4 C#5 | D5:3 | D5:1 G4:.5 F#4 G4:1 | E5 G4:.5 F#4 G4:1 |
    D5 C5 B4 | A4:.5 G4 F#4 G4 A4:1 | D4:.5 E4 F#4 G4 A4 B4 | C5:1 B4 A4 | B4:.5 D5 G4:1 F#4 | G4+B3:3 |"""
    left = """
    G3+B3+D4:2 A3:1 | B3:3 | C4 | B3 | A3 | G3 | D4:1 B3 G3 | D4 D3:.5 C4 B3 A3 | B3:2 A3:1 | G3 B3 G3 | C4:3 |
    B3:1 C4:.5 B3 A3 G3 | A3:2 F#3:1 | G3:2 B3:1 | C4 D4 D3 | G3:2 G2:1 |
    G3:3 | F#3 | E3:1 G3 E3 | A3:2 A2:1 | A3:3 | B3:1 D4 C#4 | D4 F#3 A3 | D4 D3 C4 | B3:2 D4:1 | C4:2 E4:1 |
    B3 A3 G3 | D4:2 r:1 | D3:2 F#3:1 | E3 G3 F#3 | G3 B2 D3 | G3 D3 G2 |"""
    return read(right, bar=3), read(left, bar=3)


def strings() -> list[Voice]:
    """Pachelbel's Canon in D: three violins, each two bars after the one before, over the ground in the cello."""
    variations = """
    F#5:1 E5 D5 C#5 | B4 A4 B4 C#5 |
    D5 C#5 B4 A4 | G4 F#4 G4 E4 |
    D4:.5 F#4 A4 G4 F#4 D4 F#4 E4 | D4 B3 D4 A4 G4 B4 A4 G4 |
    F#4 D4 E4 C#5 D5 F#5 A5 A4 | B4 G4 A4 F#4 D4 D5 D5:.75 C#5:.25 |
    D5 C#5 D5 D4 C#4 A4 E4 F#4 D4 D5 C#5 B4 C#5 F#5 A5 B5 |
    G5 F#5 E5 G5 F#5 E5 D5 C#5 B4 A4 G4 F#4 E4 G4 F#4 E4 |
    D4 E4 F#4 G4 A4 E4 A4 G4 F#4 B4 A4 G4 A4 G4 F#4 E4 | D4 B3 B4 C#5 D5 C#5 B4 A4 G4 F#4 E4 B4 A4 B4 A4 G4 |"""
    bars, endings = 20, ("F#5:4 |", "D5:4 |", "A4:4 |")
    voices = []
    for violin, ending in enumerate(endings):
        # Whoever is through with the variations goes round again; all stop on the last chord.
        canon = read(variations * 2, start=8 * (violin + 1))
        notes = [note for note in canon if note.onset < 4 * bars]
        voices.append(Voice(f"Violin {violin + 1}", violin, 40, notes + read(ending, start=4 * bars)))
    ground = "D3:1 A2 B2 F#2 | G2 D2 G2 A2 |"
    voices.append(Voice("Cello", 3, 42, read(ground * (bars // 2) + "D2:4 |")))
    return voices


def song() -> list[Voice]:
    """Drunken Sailor in D minor for drums, bass, guitar, keys and strings: verse, chorus, verse, chorus, last chord."""
    verse = """
    A4:1 A4:.5 A4 A4:1 A4:.5 A4 | A4:1 D4 F4 A4 | G4 G4:.5 G4 G4:1 G4:.5 G4 | G4:1 C4 E4 G4 |
    A4 A4:.5 A4 A4:1 A4:.5 A4 | A4:1 B4 C5 D5 | C5 A4 G4 E4 | D4:2 D4:1 r |"""
    chorus = """
    A4:2 A4:2 | A4:1 D4 F4 A4 | G4:2 G4:2 | G4:1 C4 E4 G4 | A4:2 A4:2 | A4:1 B4 C5 D5 | C5 A4 G4 E4 | D4:2 D4:1 r |"""
    sections, section_beats = (verse, chorus, verse, chorus), 32
    end = section_beats * len(sections)

    def over_all(*words: str) -> list[Note]:
        """The words of each section in turn."""
        return [note for index, text in enumerate(words) for note in read(text, start=index * section_beats)]

    kick, snare, closed, opened, crash, tom = "C2", "D2", "F#2", "A#2", "C#3", "A2"
    one, two, three = f"{kick}+{closed}:.5 {closed}", f"{snare}+{closed} {closed}", f"{kick}+{closed} {kick}+{closed}"
    groove = f"{one} {two} {three} {two} |"
    lift = f"{one} {two} {three} {snare}+{closed} {opened} |"
    fill = f"{one} {two} {snare}:.25 {snare} {snare} {snare} {tom} {tom} {snare}:.5 |"
    section = groove.replace(closed, crash, 1) + groove * 2 + lift + groove * 3 + fill
    drums = over_all(*[section] * len(sections))
    drums += read(f"{kick}+{crash}:4 |", start=end)

    verse_bass = (
        "D2:1 r:.5 D2 F2:1 A2:.5 G2 | D2:1 r:.5 D2 C2:1 D2:.5 B1 | C2:1 r:.5 C2 E2:1 G2:.5 E2 |"
        "C2:1 r:.5 C2 C2 D2 C2 C#2 | D2:1 r:.5 D2 F2:1 A2:.5 G2 |"
        "D2:1 G1:.5 G1 A1:1 B1 | C2:1 r:.5 C2 A1:1 C2:.5 C#2 | D2:1 A1:.5 C2 D2:1 r |"
    )
    chorus_bass = (
        "D2:.5 D2 D3 D2 D2 C3 D2 A2 | D2 D2 D3 D2 F2 E2 D2 B1 | C2 C2 C3 C2 C2 G2 C2 E2 | C2 C2 C3 C2 E2 D2 C2 C#2 |"
        "D2 D2 D3 D2 D2 C3 D2 A2 | D2 D2 G1 G1 A1 A1 B1 B1 | C2 C2 E2 C2 A1 A1 C2 C#2 | D2:1 A1:.5 C2 D2:1 r |"
    )
    low = over_all(verse_bass, chorus_bass, verse_bass, chorus_bass) + read("D2:4 |", start=end)

    shapes = {
        "Dm": ("D3", "D3+A3+D4", "A3+D4+F4"), "C": ("C3", "C3+G3+C4", "G3+C4+E4"),
        "G": ("G2", "G2+D3+G3", "G3+B3+D4"), "Am": ("A2", "A2+E3+A3", "A3+C4+E4"),
    }
    chords = "Dm Dm Dm Dm C C C C Dm Dm Dm G C Am Dm Dm".split()  # two to a bar
    picked = "".join(f"{shapes[c][0]}:.5 {shapes[c][0]} {shapes[c][1]} {shapes[c][0]}" + " |" * (i % 2) + " "
                     for i, c in enumerate(chords))
    strummed = "".join(f"{shapes[c][1]}:1 {shapes[c][2]}:.5 {shapes[c][2]}" + " |" * (i % 2) + " "
                       for i, c in enumerate(chords))
    rhythm = over_all(picked, strummed, picked, strummed) + read("D3+A3+D4+F4:4 |", start=end)

    comping = "".join(f"r:.5 {shapes[c][2]} r {shapes[c][2]}" + " |" * (i % 2) + " " for i, c in enumerate(chords))
    piano = over_all(verse, comping, verse, comping) + read("D4+F4+A4:4 |", start=end)
    piano_left = "".join(f"{shapes[c][0]}:2" + " |" * (i % 2) + " " for i, c in enumerate(chords))
    piano += read(piano_left * len(sections) + "D2+D3:4 |")

    pad = "D4+F4+A4:8 | C4+E4+G4:8 | D4+F4+A4:6 D4+G4+B4:2 | E4+G4+C5:2 E4+A4+C5:2 D4+F4+A4:3 r:1 |"
    low_octave = read(pad, start=section_beats * 2, shift=-12)
    answer = read(chorus, start=section_beats, shift=12) + read(chorus, start=section_beats * 3, shift=12)
    under = read(chorus, start=section_beats * 3)
    ensemble = read(pad, shift=-12) + low_octave + answer + under + read("D4+A4+D5+F5:4 |", start=end)

    return [
        Voice("Drums", DRUM_CHANNEL, None, drums),
        Voice("Bass", 1, 33, low),
        Voice("Guitar", 2, 27, rhythm),
        Voice("Piano", 0, 0, piano),
        Voice("Strings", 3, 48, ensemble),
    ]


def write(path: Path, voices: list[Voice], *, tempo_bpm: float, metre: tuple[int, int]) -> int:
    """Write the voices as a format 1 file, the tempo and the metre in a track of their own; gives the note count.

    Raises
    ------
    ValueError
        If two notes of the same pitch overlap in a voice: no keyboard can play that, and no file can say it.
    """
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    head = file.add_track(path.stem)
    head.append(mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]))
    head.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_bpm)))
    for voice in voices:
        events: list[tuple[int, int, mido.Message]] = []
        last_off: dict[int, Fraction] = {}
        for note in sorted(voice.notes, key=lambda note: (note.onset, note.pitch)):
            if note.onset < last_off.get(note.pitch, Fraction(0)):
                raise ValueError(f"{path.name}, {voice.name}: pitch {note.pitch} is struck twice at beat {note.onset}")
            off = last_off[note.pitch] = note.onset + note.length
            for order, kind, beat in ((1, "note_on", note.onset), (0, "note_off", off)):
                message = mido.Message(kind, channel=voice.channel, note=note.pitch, velocity=VELOCITY)
                events.append((round(beat * TICKS_PER_BEAT), order, message))
        track = file.add_track(voice.name)
        if voice.program is not None:
            track.append(mido.Message("program_change", channel=voice.channel, program=voice.program))
        now = 0
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=tick - now))
            now = tick
    file.save(path)
    return sum(len(voice.notes) for voice in voices)


def main() -> None:
    """Write every example and say how many notes it has."""
    folder = Path(__file__).parent / "midi"
    folder.mkdir(exist_ok=True)
    right, left = keys()
    examples = {
        "guitar.mid": ([Voice("Guitar", 0, 25, guitar())], 96, (6, 8)),
        "bass.mid": ([Voice("Bass", 0, 32, bass())], 132, (4, 4)),
        "keys.mid": ([Voice("Right hand", 0, 0, right), Voice("Left hand", 0, 0, left)], 126, (3, 4)),
        "strings.mid": (strings(), 60, (4, 4)),
        "song.mid": (song(), 118, (4, 4)),
    }
    for name, (voices, tempo_bpm, metre) in examples.items():
        print(f"{name}: {write(folder / name, voices, tempo_bpm=tempo_bpm, metre=metre)} notes")


if __name__ == "__main__":
    main()
