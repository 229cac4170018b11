"""Whatever kind of MIDI comes in, the same kind comes out; what cannot be read or written is said plainly."""

import copy
import io
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from midi_bytes import header, off, on, program, smf, tempo, title, track

from duvhuman.errors import FileError, MidiError, OptionError
from duvhuman.midi.interop import MidiFile, open_midi

SONG = smf(track(tempo(0, 500_000)), track(title("Guitar"), program(0, 25), on(0, 60, 70), off(480, 60)))


def louder(data):
    """The song with its note at velocity 99."""
    assert data.count(b"\x90\x3c\x46") == 1
    return data.replace(b"\x90\x3c\x46", b"\x90\x3c\x63")


def names(folder):
    return [path.name for path in folder.iterdir()]


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mid"
    path.write_bytes(SONG)
    return path


# --- paths, bytes, file objects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Path, str, lambda p: p.open("rb"), lambda p: p.read_bytes(),
                                  lambda p: bytearray(p.read_bytes()), lambda p: memoryview(p.read_bytes()),
                                  lambda p: io.BytesIO(p.read_bytes()), lambda p: MidiFile(p.read_bytes())])
def test_paths_bytes_and_files_come_back_as_a_midi_file(song, kind):
    midi = kind(song)
    source = open_midi(midi)
    if hasattr(midi, "close"):
        midi.close()
    assert source.data == SONG
    result = source.restore(louder(SONG), None)
    assert isinstance(result, MidiFile)
    assert result.to_bytes() == louder(SONG)


def test_the_report_travels_with_the_midi_file():
    report = object()
    assert open_midi(SONG).restore(SONG, report).report is report
    assert MidiFile(SONG).report is None


def test_names_say_where_it_came_from(song):
    assert open_midi(song).name == str(song)
    assert open_midi(SONG).name == "<bytes>"
    with song.open("rb") as file:
        assert open_midi(file).name == str(song)
    assert open_midi(io.BytesIO(SONG)).name == "<file object>"
    assert open_midi(MidiFile(SONG, name="take 3")).name == "take 3"


class BytesPath:
    """A path as bytes, as `os.scandir(b".")` gives them."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return os.fsencode(self.path)


def test_path_likes_of_bytes_are_paths(song):
    source = open_midi(BytesPath(song))
    assert (source.data, source.name) == (SONG, str(song))
    MidiFile(louder(SONG)).save(BytesPath(song))
    assert song.read_bytes() == louder(SONG)


@pytest.mark.parametrize("take", [open_midi, MidiFile])
@pytest.mark.parametrize("path", [b"song.mid", bytearray(b"/music/song.mid"), memoryview(b"song")])
def test_bytes_are_contents_and_no_path(take, path):
    with pytest.raises(MidiError, match=r"<bytes>: not a MIDI file, but b'.*song.* give a path as str or Path"):
        take(path)


def test_a_missing_path(tmp_path):
    with pytest.raises(FileError, match=r"none\.mid: cannot read: no such file.* Check the path"):
        open_midi(tmp_path / "none.mid")


def test_a_folder(tmp_path):
    with pytest.raises(FileError, match="cannot read: .* Pass the path of one MIDI file"):
        open_midi(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(song):
    song.chmod(0)
    with pytest.raises(FileError, match="cannot read: permission denied"):
        open_midi(song)


def test_a_file_that_fails_while_it_is_read():
    class Broken(io.BytesIO):
        def read(self, *_):
            raise OSError(5, "Input/output error")

    with pytest.raises(FileError, match="<file object>: cannot read: input/output error"):
        open_midi(Broken())


def test_a_file_opened_as_text(song):
    with song.open(encoding="latin-1") as file, pytest.raises(MidiError, match=r"gives str, not bytes.*'rb'"):
        open_midi(file)


def test_a_file_opened_for_writing_only(tmp_path):
    with (tmp_path / "new.mid").open("wb") as file, pytest.raises(FileError, match="Open it for reading in binary"):
        open_midi(file)


def test_a_midi_file_read_as_text():
    with pytest.raises(FileError, match="content of a MIDI file read as text"):
        open_midi(SONG.decode("latin-1"))


@pytest.mark.parametrize("thing", [None, 5, 1.5, [SONG], {"a": 1}, object()])
def test_anything_else_is_refused_with_the_list_of_what_is_taken(thing):
    with pytest.raises(OptionError, match=f"type {type(thing).__name__}.*pretty_midi.PrettyMIDI"):
        open_midi(thing)


# --- other libraries -------------------------------------------------------------------------------------------------


def test_a_mido_file_comes_back_as_one():
    mido = pytest.importorskip("mido")
    midi = mido.MidiFile(file=io.BytesIO(SONG), charset="utf-8")
    before = copy.deepcopy(midi.tracks)
    source = open_midi(midi)
    result = source.restore(louder(source.data), None)
    assert type(result) is mido.MidiFile
    assert [message.velocity for message in result if message.type == "note_on"] == [99]
    assert (result.ticks_per_beat, result.type, result.charset) == (480, 1, "utf-8")
    assert midi.tracks == before


def test_a_mido_file_that_cannot_be_written():
    mido = pytest.importorskip("mido")
    midi = mido.MidiFile(type=0)
    midi.tracks += [mido.MidiTrack(), mido.MidiTrack()]
    with pytest.raises(MidiError, match=r"a mido\.MidiFile: its library cannot read or write it"):
        open_midi(midi)


def test_a_pretty_midi_object_comes_back_as_one():
    pretty_midi = pytest.importorskip("pretty_midi")
    midi = pretty_midi.PrettyMIDI(io.BytesIO(SONG))
    before = copy.deepcopy(midi)
    source = open_midi(midi)
    result = source.restore(louder(source.data), None)
    assert type(result) is pretty_midi.PrettyMIDI
    assert [note.velocity for note in result.instruments[0].notes] == [99]
    assert (result.instruments[0].program, result.instruments[0].name) == (25, "Guitar")
    assert [vars(note) for note in midi.instruments[0].notes] == [vars(note) for note in before.instruments[0].notes]


def test_a_subclass_is_known_by_what_it_inherits_from():
    pretty_midi = pytest.importorskip("pretty_midi")

    class Mine(pretty_midi.PrettyMIDI):
        pass

    assert open_midi(Mine(io.BytesIO(SONG))).name == "a pretty_midi.PrettyMIDI"


@pytest.mark.parametrize("unit", ["tick", "quarter", "second"])
def test_a_symusic_score_comes_back_as_one_of_its_unit(unit):
    symusic = pytest.importorskip("symusic")
    score = symusic.Score.from_midi(SONG, ttype=unit)
    before = copy.deepcopy(score)
    source = open_midi(score)
    result = source.restore(louder(source.data), None)
    assert type(result) is type(score)
    assert [note.velocity for note in result.tracks[0].notes] == [99]
    assert result.tracks[0].notes[0].duration == score.tracks[0].notes[0].duration
    assert score == before


def test_no_library_is_imported_for_bytes():
    code = ("import sys; from duvhuman.midi.interop import open_midi; open_midi(sys.stdin.buffer); "
            "print(sorted({'mido', 'pretty_midi', 'symusic', 'torch'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], input=SONG, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


# --- MidiFile --------------------------------------------------------------------------------------------------------


def test_a_midi_file_holds_bytes_and_notes():
    midi = MidiFile(SONG, name="riff")
    assert midi.to_bytes() == bytes(midi) == SONG
    assert [(part.name, part.program, part.notes.pitch.tolist()) for part in midi.notes] == [("Guitar", 25, [60])]
    assert "riff" in repr(midi)


def test_a_midi_file_must_be_midi():
    with pytest.raises(MidiError, match=r"notes\.txt: not a MIDI file"):
        MidiFile(b"do re mi fa sol la si", name="notes.txt")


@pytest.mark.parametrize("thing", ["song.mid", Path("song.mid"), 3, None, io.BytesIO(SONG), [77, 84]])
def test_a_midi_file_is_made_of_bytes_alone(thing):
    with pytest.raises(OptionError, match=rf"type {type(thing).__name__}\. To open a file: MidiFile\(Path\(path\)"):
        MidiFile(thing)


def test_the_notes_of_a_midi_file_are_read_only():
    table = MidiFile(SONG).notes[0].notes
    for field in fields(table):
        with pytest.raises(ValueError, match="read-only"):
            getattr(table, field.name)[:] = 1


@pytest.mark.parametrize("thing", [io.BytesIO(), b"out.mid", None, 3])
def test_a_midi_file_is_saved_to_a_path_alone(thing):
    with pytest.raises(OptionError, match=rf"type {type(thing).__name__}\. To write to a file object: file\.write"):
        MidiFile(SONG).save(thing)


@pytest.mark.skipif(os.name == "nt", reason="no devices")
def test_a_device_is_written_to_without_being_overwritten():
    MidiFile(SONG).save(os.devnull, overwrite=False)
    assert Path(os.devnull).is_char_device()


def test_a_pretty_midi_object_that_cannot_be_copied_is_read_back():
    pretty_midi = pytest.importorskip("pretty_midi")

    class Mine(pretty_midi.PrettyMIDI):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle a lock")

    midi = Mine(io.BytesIO(SONG))
    source = open_midi(midi)
    assert [note.velocity for note in source.restore(louder(source.data), None).instruments[0].notes] == [99]


def test_a_pretty_midi_object_whose_class_writes_other_tracks_is_read_back():
    pretty_midi = pytest.importorskip("pretty_midi")

    class Mine(pretty_midi.PrettyMIDI):
        def write(self, filename):
            filename.write(SONG)

    source = open_midi(Mine())
    assert [note.velocity for note in source.restore(louder(source.data), None).instruments[0].notes] == [99]


def test_to_pretty_midi():
    pytest.importorskip("pretty_midi")
    assert [note.pitch for note in MidiFile(SONG).to_pretty_midi().instruments[0].notes] == [60]


def test_to_pretty_midi_of_a_file_that_it_cannot_read():
    pytest.importorskip("pretty_midi")
    broken = MidiFile(header(1, 5, 480), name="no tracks")  # It looks for the five tracks that the header claims.
    with pytest.raises(MidiError, match="no tracks: its library cannot read"):
        broken.to_pretty_midi()


def test_save(tmp_path):
    MidiFile(SONG).save(tmp_path / "out.mid")
    assert (tmp_path / "out.mid").read_bytes() == SONG
    assert names(tmp_path) == ["out.mid"]


def test_save_replaces_a_file_by_default_and_keeps_its_permissions(song):
    song.chmod(0o640)
    MidiFile(louder(SONG)).save(str(song))
    assert song.read_bytes() == louder(SONG)
    assert song.stat().st_mode & 0o777 == 0o640


def test_save_gives_a_new_file_the_usual_permissions(tmp_path):
    (tmp_path / "usual").write_bytes(b"")
    MidiFile(SONG).save(tmp_path / "out.mid")
    assert (tmp_path / "out.mid").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_save_does_not_replace_a_file_if_told_so(song):
    with pytest.raises(FileError, match=r"song\.mid: is there already"):
        MidiFile(louder(SONG)).save(song, overwrite=False)
    assert song.read_bytes() == SONG


def test_save_writes_through_a_symbolic_link(song, tmp_path):
    link = tmp_path / "link.mid"
    link.symlink_to(song)
    MidiFile(louder(SONG)).save(link)
    assert link.is_symlink()
    assert song.read_bytes() == louder(SONG)


@pytest.mark.parametrize("name", ["no/such/folder/out.mid", "song.mid/out.mid", "nul\0.mid", "x" * 300])
def test_save_to_where_nothing_can_be_written(song, name):
    with pytest.raises(FileError, match="cannot write"):
        MidiFile(SONG).save(song.parent / name)
    assert names(song.parent) == ["song.mid"]


def test_save_to_a_folder(tmp_path):
    with pytest.raises(FileError, match="this is a folder"):
        MidiFile(SONG).save(tmp_path)


def test_a_failure_while_saving_leaves_the_old_file_and_nothing_else(song, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(FileError, match=r"song\.mid: cannot write: no space left on device"):
        MidiFile(louder(SONG)).save(song)
    assert song.read_bytes() == SONG
    assert names(song.parent) == ["song.mid"]
