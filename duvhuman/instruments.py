"""The four instruments: one table, and everything that is derived from it.

Conventions
-----------
Programs are General MIDI program numbers, 0..127 as they stand in the file. Pitches are MIDI note numbers; ranges
are inclusive and hold every common tuning (drop and seven-string guitars, five- and six-string basses). Notes
outside are usually key-switches of a sample library. Channel 10 (index 9) is drums and is not
played, but as one channel of a controller that plays each note on one of its own.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from duvhuman.errors import OptionError

DRUM_CHANNEL = 9
RIGHT_WORDS = frozenset(("right", "rh", "r", "rite", "rechts", "rechte", "droite", "destra", "derecha"))
LEFT_WORDS = frozenset(("left", "lh", "l", "links", "linke", "gauche", "sinistra", "izquierda"))
HAND_WORDS = frozenset(("hand", "h", "main", "mano"))
"""Words in the titles of tracks that hold a hand of a pianist."""
OTHER_WORDS = frozenset((
    "drum", "drums", "kick", "snare", "hihat", "cymbals", "percussion", "perc", "schlagzeug", "batterie", "clarinet",
    "flute", "recorder", "oboe", "bassoon", "sax", "saxophone", "trumpet", "trombone", "tuba", "horn",
))
"""Words in the titles of tracks of other instruments, whatever else the title says: a bass drum, a bass clarinet."""
VOICE_WORDS = frozenset((
    "soprano", "sopran", "mezzo", "alto", "tenor", "baritone", "bariton", "choir", "chor", "choeur", "coro",
    "voice", "voices", "vocal", "vocals", "vox", "singer", "gesang", "stimme", "chant", "voix", "canto", "voce",
))
"""Words in the titles of what is sung; a bass among them sings."""
VIOLIN = ("violin", "violine", "violon", "violino", "violín", "geige", "vl", "vln", "fiddle")
VIOLINS = ("violins", "violinen", "violons", "violini", "violines", "geigen", "vlns")
VIOLA = ("viola", "bratsche", "vla")
VIOLAS = ("violas", "viole", "bratschen", "vlas")
CELLO = ("cello", "violoncello", "violoncelle", "violonchelo", "vlc", "vcl", "vc")
CELLOS = ("celli", "cellos", "violoncellos", "violoncelli", "violoncelles", "violonchelos")
CONTRABASS = (
    "contrabass", "contrabasses", "kontrabass", "kontrabässe", "contrabbasso", "contrabbassi", "contrebasse",
    "contrebasses", "contrabajo", "contrabajos",
)
"""Words for one of the strings, and for several."""
AUTO = "auto"


@dataclass(frozen=True)
class Instrument:
    """One row of the table.

    Attributes
    ----------
    name : the public name, also that of its model.
    programs : the General MIDI programs played as this instrument.
    low, high : lowest and highest pitch that its players play, inclusive.
    default_program : the usual one; of a part that has none, or that of another instrument, see `usual_program`.
    aliases : other names accepted for it.
    track_words : words that name it in a track's title.
    """

    name: str
    programs: frozenset[int]
    low: int
    high: int
    default_program: int
    aliases: tuple[str, ...]
    track_words: tuple[str, ...]


INSTRUMENTS: dict[str, Instrument] = {
    row.name: row
    for row in (
        Instrument(
            "guitar", frozenset(range(24, 32)), 33, 90, 25,
            ("gtr", "guitars", "acoustic_guitar", "electric_guitar"),
            ("guitar", "guitars", "gtr", "gtrs", "git", "guit", "guitare", "guitarra", "gitarre", "chitarra", "strat",
             "nylon", "egtr", "violão"),
        ),
        Instrument(
            "bass", frozenset(range(32, 40)), 23, 72, 33,
            ("bass_guitar", "electric_bass"),
            ("bass", "basses", "basse", "basso", "bajo", "baixo"),
        ),
        Instrument(
            "keys", frozenset((*range(8), *range(16, 24))), 21, 108, 0,
            ("piano", "keyboard", "keyboards", "organ", "epiano", "rhodes"),
            (
                "piano", "pianos", "keys", "keyboard", "keyboards", "organ", "organs", "rhodes", "klavier", "pno",
                "epiano", "clav", "clavinet", "wurli", "wurlitzer", "hammond", "harpsichord", "cembalo", "clavecin",
                "clavicembalo", "pianoforte", "fortepiano", "orgel", "orgue", "organo", "órgano", "harmonium",
                "accordion", "akkordeon", "accordéon", "fisarmonica", "harmonica", "ep", "teclado", "teclados",
            ),
        ),
        Instrument(
            "strings", frozenset((*range(40, 46), *range(48, 52))), 24, 108, 48,
            ("string", "violin", "viola", "cello", "orchestra"),
            (
                "strings", "string", "strgs", "streicher", "cordes", "archi", "cuerdas", "cordas", "pizzicato", "pizz",
                *VIOLIN, *VIOLINS, *VIOLA, *VIOLAS, *CELLO, *CELLOS, *CONTRABASS,
            ),
        ),
    )
}
"""Name -> instrument, in the order in which they are listed to users."""

PROGRAM_OF_WORD: dict[str, dict[str, int]] = {
    "guitar": {
        "muted": 28, "mute": 28, "nylon": 24, "classical": 24, "jazz": 26, "clean": 27, "overdrive": 29,
        "overdriven": 29, "crunch": 29, "distortion": 30, "distorted": 30, "dist": 30, "electric": 27, "elec": 27,
        "e": 27, "egtr": 27, "strat": 27,
    },
    "bass": {
        "slap": 36, "fretless": 35, "pick": 34, "picked": 34, "synth": 38, "acoustic": 32, "upright": 32, "double": 32,
    },
    "keys": {
        "rhodes": 4, "epiano": 4, "wurli": 4, "wurlitzer": 4, "clavinet": 7, "clav": 7, "harpsichord": 6, "cembalo": 6,
        "clavecin": 6, "clavicembalo": 6, "accordion": 21, "akkordeon": 21, "accordéon": 21, "fisarmonica": 21,
        "harmonica": 22, "harmonium": 20, "hammond": 16, "church": 19, "pipe": 19, "organ": 18, "orgel": 19,
        "orgue": 19, "organo": 19, "órgano": 19, "electric": 4, "elec": 4, "e": 4, "ep": 4,
    },
    "strings": {
        "pizzicato": 45, "pizz": 45, "tremolo": 44, "slow": 49, "synth": 50,
        **dict.fromkeys(VIOLIN, 40), **dict.fromkeys(VIOLA, 41), **dict.fromkeys(CELLO, 42),
        **dict.fromkeys(CONTRABASS, 43), "bass": 43, "basses": 43,
    },
}
"""Words that tell in a track's title how an instrument sounds, the more telling ones first, and the program that it has
then: mostly that of most of the tracks of the Lakh MIDI Dataset that are called so."""
LOWEST_OF_PROGRAM = {40: 55, 41: 48, 42: 36}
"""The lowest strings of violin, viola and cello."""
LOWEST_OF_WORD = (
    dict.fromkeys(VIOLIN + VIOLINS, LOWEST_OF_PROGRAM[40])
    | dict.fromkeys(VIOLA + VIOLAS, LOWEST_OF_PROGRAM[41])
    | dict.fromkeys(CELLO + CELLOS, LOWEST_OF_PROGRAM[42])
)
_BY_PROGRAM = {program: row for row in INSTRUMENTS.values() for program in row.programs}
_BY_WORD = {word: row for row in INSTRUMENTS.values() for word in row.track_words}
_STRINGS_OF_GUITAR = re.compile(r"\b(6|7|8|12)[ -]?string\b(?! (ens|quartet|quintet|sect|pad|orch))", re.IGNORECASE)
_SECOND_WORD = re.compile(r"(?<=[a-z]{3})(?=[A-Z][a-z])")
_NAMES = {alias: row for row in INSTRUMENTS.values() for alias in (row.name, *row.aliases)}


def get_instrument(name: str) -> Instrument:
    """The instrument of this name or alias; case, spaces and hyphens do not matter.

    Raises
    ------
    OptionError
        If there is none; the message proposes the nearest name.
    """
    return _named(name, tuple(INSTRUMENTS))


def instrument_name(name: str) -> str:
    """`AUTO`, or the name of the instrument that is meant; the same leeway, and the same error, as `get_instrument`."""
    return AUTO if str(name).strip().lower() == AUTO else _named(name, (*INSTRUMENTS, AUTO)).name


def instrument_of_program(program: int) -> Instrument | None:
    """The instrument that plays this General MIDI program, or None."""
    return _BY_PROGRAM.get(program)


def instrument_of_track_name(name: str) -> Instrument | None:
    """The instrument that a track's title names, or None; of several, the first word wins.

    "String" does so only where no other word names one: a 12-string guitar is a guitar, and so is a 12-string. A bass
    drum, a bass clarinet or a bass voice is no bass. A right or left hand is that of a keyboard, unless the title names
    another instrument.
    """
    words = title_words(name)
    if OTHER_WORDS.intersection(words):
        return None
    named = [word for word in words if word in _BY_WORD]
    if "string" in named and (_STRINGS_OF_GUITAR.search(name) or "steel" in words):
        return INSTRUMENTS[next((_BY_WORD[word].name for word in named if word != "string"), "guitar")]
    if VOICE_WORDS.intersection(words) and {_BY_WORD[word].name for word in named} == {"bass"}:
        return None
    if named:
        return _BY_WORD[next((word for word in named if word != "string"), "string")]
    sides = (RIGHT_WORDS | LEFT_WORDS).intersection(words)
    a_hand = sides & {"rh", "lh"} or (sides and HAND_WORDS.intersection(words))
    return INSTRUMENTS["keys"] if a_hand else None


def other_instrument(name: str, instrument: Instrument) -> str:
    """What a track's title says that is not `instrument`: one of `OTHER_WORDS`, or another name; empty if it does not.

    A left hand, or a double bass, is called "bass", too.
    """
    if others := OTHER_WORDS.intersection(title_words(name)):
        return min(others)
    told = instrument_of_track_name(name)
    if told is None or told is instrument or (told.name == "bass" and instrument.name in ("keys", "strings")):
        return ""
    return told.name


def usual_program(instrument: Instrument, name: str) -> int:
    """The program that a part played as `instrument` is taken to have if it has none of the instrument's own.

    Parameters
    ----------
    name : the title of its track, and what else it is called.
    """
    words = title_words(name)
    told = (program for word, program in PROGRAM_OF_WORD[instrument.name].items() if word in words)
    return next(told, instrument.default_program)


def pitch_range(instrument: Instrument, program: int, name: str) -> tuple[int, int]:
    """The lowest and the highest pitch of a part that is played as `instrument`; key-switches lie beyond.

    The lowest is that of its lowest string, where program or title tell one. A title that tells several, such as
    "Violin & Cello", leaves it at the lowest of these; a "bass" among strings is a double bass.

    Parameters
    ----------
    program : of the part, -1 if none is set.
    name : the title of its track, which counts more.
    """
    if instrument.name != "strings":
        return instrument.low, instrument.high
    words = [word for word in title_words(name) if _BY_WORD.get(word) in (instrument, INSTRUMENTS["bass"])]
    told = [LOWEST_OF_WORD.get(word, instrument.low) for word in words if word not in ("string", "strings")]
    return min(told, default=LOWEST_OF_PROGRAM.get(program, instrument.low)), instrument.high


def title_words(name: str) -> list[str]:
    """The words of a track's title, in small letters; "LeadGuitar" has two."""
    return re.findall(r"[^\W\d_]+", _SECOND_WORD.sub(" ", name).lower())


def _named(name: str, offered: tuple[str, ...]) -> Instrument:
    """As `get_instrument`; the message lists the names in `offered`."""
    key = re.sub(r"[\s-]+", "_", str(name).strip().lower())
    if key in _NAMES:
        return _NAMES[key]
    near = difflib.get_close_matches(key, _NAMES, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise OptionError(f"unknown instrument {name!r}.{hint} There are: {', '.join(offered)}.")
