"""Every kind of MIDI object in, the same kind out.

Paths, bytes and binary file objects come back as a `MidiFile`. Objects of pretty_midi, mido and symusic are written
to bytes by their own library; they are known by the name of their class, so that none of these libraries is imported
before one of its objects comes in. mido reads its object back. What pretty_midi and symusic write does not hold all of
their objects (times between ticks, empty instruments, notes of one pitch that overlap, pedals), so a copy of the object
takes over what changed (`duvhuman.midi.objects`).

Conventions
-----------
The object that comes in is never modified (a file object is read from where it stands). Paths are local; bytes are
contents, never a path. The first tracks of the file that is made of an object are the object's own, in their order.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duvhuman.errors import FileError, MidiError, OptionError
from duvhuman.files import write_whole
from duvhuman.midi.notes import Part, read_parts
from duvhuman.midi.objects import check_score, played_pretty_midi, played_score, rolled, score_bytes
from duvhuman.midi.smf import parse_smf

if TYPE_CHECKING:
    from collections.abc import Callable

    from duvhuman.humanize.report import Report  # for type checkers alone: this package knows nothing of playing

_BYTES = (bytes, bytearray, memoryview)
_LONGEST_PATH = 4096  # bytes


class MidiFile:
    """A Standard MIDI File in memory.

    Parameters
    ----------
    data : the file's bytes.
    report : what was done to it, if it was humanized.
    name : what messages call it.

    Raises
    ------
    MidiError
        If `data` is not a Standard MIDI File.
    OptionError
        If it is no bytes.
    """

    def __init__(self, data: bytes, *, report: Report | None = None, name: str = "<bytes>") -> None:
        if not isinstance(data, _BYTES):
            raise OptionError(f"a MidiFile is made of the bytes of a file, not of an object of type "
                              f"{type(data).__name__}. To open a file: MidiFile(Path(path).read_bytes()).")
        self._data = _contents(data, name)
        self._smf = parse_smf(self._data, source=name)
        self._report = report
        self._name = name

    def __repr__(self) -> str:
        return f"<duvhuman.MidiFile {self._name!r}: {len(self._data)} bytes, {len(self._smf.tracks)} tracks>"

    def __bytes__(self) -> bytes:
        return self._data

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        return self._data

    @property
    def name(self) -> str:
        """What messages call the file: its path, or what it was read from."""
        return self._name

    @property
    def report(self) -> Report | None:
        """What was done to the file, None if nothing was."""
        return self._report

    @cached_property
    def notes(self) -> list[Part]:
        """The parts of the file that have notes, each with its note table; the tables' arrays are read-only."""
        parts = read_parts(self._smf)
        for part in parts:
            for field in fields(part.notes):
                getattr(part.notes, field.name).setflags(write=False)
        return parts

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Write the file, whole or not at all.

        Parameters
        ----------
        path : where to; the folder must exist.
        overwrite : whether to replace a file that is there.

        Raises
        ------
        FileError
            If `path` cannot be written, or is there and `overwrite` is off.
        OptionError
            If it is no path.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise OptionError(f"path must be a str or a Path, not an object of type {type(path).__name__}. To write to "
                              "a file object: file.write(midi.to_bytes()).")
        target = Path(os.fsdecode(path))
        try:
            if target.is_dir():
                raise FileError(f"{target}: cannot write: this is a folder. Name a file in it, such as "
                                f"{target / 'out.mid'}.")
            if not overwrite and target.is_file():  # a device or a pipe is not replaced
                raise FileError(f"{target}: is there already. Choose another name or allow overwriting.")
            write_whole(target, self._data)
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"{target}: cannot write: {_reason(error)}. "
                            "Check that its folder exists and may be written to.") from error

    def to_pretty_midi(self) -> Any:
        """The file as a `pretty_midi.PrettyMIDI` object, which keeps its notes but not all of its other events.

        Raises
        ------
        MidiError
            If pretty_midi cannot read the file.
        """
        return _by_library(_parse_pretty_midi, self._data, self._name)


@dataclass(frozen=True)
class Source:
    """What the caller gave, as bytes, and the way back.

    Attributes
    ----------
    data : the Standard MIDI File.
    name : what messages call it.
    restore : from bytes and a report to a new object of the kind that came in (a `MidiFile`, with the report, for paths
        and bytes).
    hidden : how many of the file's last tracks are none of the object's own.
    """

    data: bytes
    name: str
    restore: Callable[[bytes, Any], Any]
    hidden: int = 0


def open_midi(midi: object) -> Source:
    """Take MIDI of any kind.

    Parameters
    ----------
    midi : a path, the bytes of a file, a binary file object, a `pretty_midi.PrettyMIDI`, a `mido.MidiFile`, a
        `symusic.Score` or a `duvhuman.MidiFile`; or a `Source`, which is returned.

    Raises
    ------
    FileError
        If a path or a file object cannot be read.
    MidiError
        If an object cannot be written as a Standard MIDI File, or bytes look like a path. (Whether bytes are MIDI shows
        when they are parsed.)
    OptionError
        If it is none of these.
    """
    if isinstance(midi, Source):
        return midi
    if isinstance(midi, MidiFile):
        return _source(midi.to_bytes(), midi.name)
    if isinstance(midi, _BYTES):
        return _source(_contents(midi, "<bytes>"), "<bytes>")
    if isinstance(midi, (str, os.PathLike)):
        return _source(_read_path(midi), os.fsdecode(midi))
    for ancestor in type(midi).__mro__:
        opener = _OPENERS.get((ancestor.__module__.partition(".")[0], ancestor.__name__))
        if opener is not None:
            return opener(midi)
    if callable(getattr(midi, "read", None)):
        return _read_file_object(midi)
    raise OptionError(f"cannot read MIDI from an object of type {type(midi).__name__}. Pass a path, bytes, a binary "
                      "file object, a pretty_midi.PrettyMIDI, a mido.MidiFile or a symusic.Score.")


def _contents(data: bytes | bytearray | memoryview, name: str) -> bytes:
    """The bytes of a file; those of its name are an error."""
    contents = bytes(data)
    if 0 < len(contents) < _LONGEST_PATH and 0 not in contents and not contents.startswith(b"MThd"[: len(contents)]):
        raise MidiError(f"{name}: not a MIDI file, but {contents[:80]!r}. Bytes are taken as the contents of a file; "
                        "give a path as str or Path.")
    return contents


def _source(data: bytes, name: str) -> Source:
    return Source(data, name, lambda new, report: MidiFile(new, report=report, name=name))


def _open_pretty_midi(midi: Any) -> Source:
    written = _of_library("a pretty_midi.PrettyMIDI", midi.write, _parse_pretty_midi)
    data = rolled(written.data, 1)  # pretty_midi begins with a track that is none of its instruments

    def restore(new: bytes, report: object) -> Any:
        played = played_pretty_midi(midi, parse_smf(data), parse_smf(new))
        return written.restore(rolled(new, -1), report) if played is None else played

    return Source(data, written.name, restore, hidden=1)


def _open_mido(midi: Any) -> Source:
    def parse(data: bytes) -> Any:
        import mido

        new = mido.MidiFile(file=io.BytesIO(data), charset=midi.charset, clip=midi.clip)
        new.filename = midi.filename
        return new

    return _of_library("a mido.MidiFile", lambda file: midi.save(file=file), parse)


def _open_symusic(midi: Any) -> Source:
    name = "a symusic.Score"
    check_score(midi, name)
    written = _by_library(score_bytes, midi, name)
    hidden = len(parse_smf(written).tracks) - len(midi.tracks)  # symusic 0.5 begins with one for tempos
    data = rolled(written, hidden)
    return Source(data, name, lambda new, _: played_score(midi, parse_smf(data), parse_smf(new), name), hidden)


def _parse_pretty_midi(data: bytes) -> Any:
    import pretty_midi

    return pretty_midi.PrettyMIDI(io.BytesIO(data))


_OPENERS: dict[tuple[str, str], Callable[[Any], Source]] = {
    ("pretty_midi", "PrettyMIDI"): _open_pretty_midi,
    ("mido", "MidiFile"): _open_mido,
    ("symusic", "ScoreTick"): _open_symusic,
    ("symusic", "ScoreQuarter"): _open_symusic,
    ("symusic", "ScoreSecond"): _open_symusic,
}
"""How to open the objects of other libraries, by the library and the name of the class."""


def _of_library(name: str, write: Callable[[Any], object], parse: Callable[[bytes], Any]) -> Source:
    """The source of an object that its library can write to a file and parse from bytes."""
    file = io.BytesIO()
    _by_library(write, file, name)
    return Source(file.getvalue(), name, lambda data, _: _by_library(parse, data, name))


def _by_library(step: Callable[[Any], Any], argument: Any, name: str) -> Any:
    """Have another library read or write a file; whatever it raises then is about the MIDI."""
    try:
        return step(argument)
    except ImportError:
        raise
    except Exception as error:
        raise MidiError(f"{name}: its library cannot read or write it as a MIDI file: {error}. "
                        "Correct the object, or pass the path of the file instead.") from error


def _read_path(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(os.fsdecode(path)).read_bytes()
    except (OSError, ValueError) as error:
        raise FileError(f"{os.fsdecode(path)[:200]}: cannot read: {_reason(error)}. {_hint(path, error)}") from error


def _hint(path: str | os.PathLike[str], error: Exception) -> str:
    if os.fsdecode(path).startswith("MThd"):
        return "This looks like the content of a MIDI file read as text: pass its path or its bytes."
    if isinstance(error, FileNotFoundError):
        return "Check the path; a relative one is looked for from the working directory."
    if isinstance(error, IsADirectoryError):
        return "Pass the path of one MIDI file."
    return "Check that it is a file that you may read."


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error)).lower()


def _read_file_object(file: Any) -> Source:
    name = str(getattr(file, "name", "<file object>"))
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot read: {_reason(error)}. Open it for reading in binary mode ('rb').") from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise MidiError(f"{name}: gives {type(data).__name__}, not bytes. Open it in binary mode ('rb').")
    return _source(bytes(data), name)
