"""The example parts: flat, long enough, in range, and just what their script writes."""

from __future__ import annotations

import runpy
from pathlib import Path

import mido
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PARTS = sorted(EXAMPLES.glob("midi/*.mid"))


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.name)
def test_a_part_is_flat_and_has_tempo_and_metre(path: Path) -> None:
    file = mido.MidiFile(path)
    messages = [message for track in file.tracks for message in track]
    onsets = [message for message in messages if message.type == "note_on"]
    assert file.ticks_per_beat == 480
    assert len(onsets) >= 64
    assert {message.velocity for message in onsets} == {80}
    assert {"set_tempo", "time_signature"} <= {message.type for message in messages}


def test_there_is_one_part_per_instrument_and_a_song() -> None:
    assert [path.stem for path in PARTS] == ["bass", "guitar", "keys", "song", "strings"]


def test_the_song_has_five_named_tracks_with_drums_on_channel_ten() -> None:
    file = mido.MidiFile(EXAMPLES / "midi" / "song.mid")
    channels = {track.name: {m.channel for m in track if m.type == "note_on"} for track in file.tracks[1:]}
    assert channels == {"Drums": {9}, "Bass": {1}, "Guitar": {2}, "Piano": {0}, "Strings": {3}}


def test_the_script_writes_these_very_files(tmp_path: Path) -> None:
    script = tmp_path / "make_examples.py"
    script.write_bytes((EXAMPLES / "make_examples.py").read_bytes())
    runpy.run_path(str(script), run_name="__main__")
    for path in PARTS:
        assert (tmp_path / "midi" / path.name).read_bytes() == path.read_bytes()
