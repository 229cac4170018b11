"""The codec: whatever can be parsed writes back byte for byte, and the events are those in the bytes."""

import numpy as np
import pytest
from midi_bytes import END, chunk, header, meta, number, off, on, program, smf, track

from duvhuman.errors import MidiError
from duvhuman.midi import smf as smf_module
from duvhuman.midi.smf import Event, encode_number, parse_smf

H = bytes.fromhex
NOTE = on(0, 60) + off(96, 60)
NOTE_EVENTS = [(0, 0x90, H("3C40")), (96, 0x80, H("3C40"))]
END_EVENT = (96, 0xFF, H("2F00"))

# name -> (file, what is read of each track)
FILES: dict[str, tuple[bytes, list[list[tuple[int, int, bytes]]]]] = {
    "format 0": (smf(track(NOTE), kind=0), [[*NOTE_EVENTS, END_EVENT]]),
    "format 1": (smf(track(), track(NOTE)), [[(0, 0xFF, H("2F00"))], [*NOTE_EVENTS, END_EVENT]]),
    "format 2": (smf(track(NOTE), track(NOTE), kind=2), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "unknown format 7": (smf(track(NOTE), kind=7), [[*NOTE_EVENTS, END_EVENT]]),
    "SMPTE division": (smf(track(NOTE), division=0xE728), [[*NOTE_EVENTS, END_EVENT]]),
    "division 0": (smf(track(NOTE), division=0), [[*NOTE_EVENTS, END_EVENT]]),
    "no tracks": (header(1, 0, 480), []),
    "longer header": (
        chunk(b"MThd", H("0001 0001 01E0 ABCD")) + track(NOTE),
        [[*NOTE_EVENTS, END_EVENT]],
    ),
    "header that claims 4 bytes": (chunk(b"MThd", H("0001 0001 01E0"), 4) + track(NOTE), [[*NOTE_EVENTS, END_EVENT]]),
    "header that claims a gigabyte": (
        chunk(b"MThd", H("0001 0001 01E0"), 1 << 30) + track(NOTE),
        [[*NOTE_EVENTS, END_EVENT]],
    ),
    "running status": (
        smf(track(H("00 90 3C 40 60 3C 00 00 3E 40 60 3E 00"))),
        [[(0, 0x90, H("3C40")), (96, 0x90, H("3C00")), (96, 0x90, H("3E40")), (192, 0x90, H("3E00")),
          (192, 0xFF, H("2F00"))]],
    ),
    "running status of one data byte": (
        smf(track(H("00 C0 05 60 06"))),
        [[(0, 0xC0, H("05")), (96, 0xC0, H("06")), (96, 0xFF, H("2F00"))]],
    ),
    "repeated explicit status": (
        smf(track(H("00 90 3C 40 00 90 3E 40"))),
        [[(0, 0x90, H("3C40")), (0, 0x90, H("3E40")), (0, 0xFF, H("2F00"))]],
    ),
    "running status behind meta and sysex": (
        smf(track(H("00 90 3C 40 00 FF 01 01 41 00 3E 40 00 F0 02 43 F7 00 40 40"))),
        [[(0, 0x90, H("3C40")), (0, 0xFF, H("010141")), (0, 0x90, H("3E40")), (0, 0xF0, H("0243F7")),
          (0, 0x90, H("4040")), (0, 0xFF, H("2F00"))]],
    ),
    "running status across tracks": (
        smf(track(H("00 93 3C 40")), track(H("60 3C 00"))),
        [[(0, 0x93, H("3C40")), (0, 0xFF, H("2F00"))], [(96, 0x93, H("3C00")), END_EVENT]],
    ),
    "running status across a track without channel messages": (
        smf(track(H("00 93 3C 40")), track(), track(H("60 3C 00"))),
        [[(0, 0x93, H("3C40")), (0, 0xFF, H("2F00"))], [(0, 0xFF, H("2F00"))], [(96, 0x93, H("3C00")), END_EVENT]],
    ),
    "data byte with no status before": (smf(track(H("00 3C 40"))), [[]]),
    "sysex and escapes": (
        smf(track(H("00 F0 03 43 12 00 0A F7 03 01 02 F7 00 F7 02 F3 01"))),
        [[(0, 0xF0, H("03431200")), (10, 0xF7, H("030102F7")), (10, 0xF7, H("02F301")), (10, 0xFF, H("2F00"))]],
    ),
    "sysex of 300 bytes": (
        smf(track(H("00 F0 82 2C") + bytes(300))),
        [[(0, 0xF0, H("822C") + bytes(300)), (0, 0xFF, H("2F00"))]],
    ),
    "unknown meta events": (
        smf(track(meta(0, 0x4B, b"what"), meta(5, 0x7F, b""), meta(0, 0xC0, b"x"))),
        [[(0, 0xFF, b"\x4b\x04what"), (5, 0xFF, b"\x7f\x00"), (5, 0xFF, b"\xc0\x01x"), (5, 0xFF, H("2F00"))]],
    ),
    "every kind of channel message": (
        smf(track(H("00 A1 3C 10 01 B2 40 7F 01 C3 07 01 D4 20 01 E5 00 40"))),
        [[(0, 0xA1, H("3C10")), (1, 0xB2, H("407F")), (2, 0xC3, H("07")), (3, 0xD4, H("20")), (4, 0xE5, H("0040")),
          (4, 0xFF, H("2F00"))]],
    ),
    "real-time bytes between events": (
        smf(track(H("00 90 3C 40 05 F8 05 FA 00 3C 00"))),
        [[(0, 0x90, H("3C40")), (5, 0xF8, b""), (10, 0xFA, b""), (10, 0x90, H("3C00")), (10, 0xFF, H("2F00"))]],
    ),
    "real-time byte within a message": (
        smf(track(H("00 90 3C F8 40 60 80 3C 40"))),
        [[(0, 0x90, H("3CF840")), (96, 0x80, H("3C40")), END_EVENT]],
    ),
    "real-time bytes before and between the data bytes": (
        smf(track(H("00 90 F8 3C FE FE 40 60 80 3C 40"))),
        [[(0, 0x90, H("F83CFEFE40")), (96, 0x80, H("3C40")), END_EVENT]],
    ),
    "system common bytes": (
        smf(track(H("00 F1 05 00 F2 01 02 00 F3 01 00 F6 60 90 3C 40"))),
        [[(0, 0xF1, H("05")), (0, 0xF2, H("0102")), (0, 0xF3, H("01")), (0, 0xF6, b""), (96, 0x90, H("3C40")),
          END_EVENT]],
    ),
    "data bytes over 127": (
        smf(track(H("00 90 3C C8 60 80 3C 40"))),
        [[(0, 0x90, H("3CC8")), (96, 0x80, H("3C40")), END_EVENT]],
    ),
    "non-canonical delta times": (
        smf(track(H("80 00 90 3C 40 80 80 80 60 80 3C 40"))),
        [[*NOTE_EVENTS, END_EVENT]],
    ),
    "delta time of six bytes": (smf(track(on(0, 60), H("80 80 80 80 80 60 80 3C 40"))), [[*NOTE_EVENTS, END_EVENT]]),
    "non-canonical meta length": (
        smf(track(H("00 FF 01 80 80 01 41"), NOTE)),
        [[(0, 0xFF, H("0180800141")), *NOTE_EVENTS, END_EVENT]],
    ),
    "the longest delta time": (
        smf(track(on(0, 60), H("FF FF FF 7F 80 3C 40"))),
        [[(0, 0x90, H("3C40")), (0x0FFFFFFF, 0x80, H("3C40")), (0x0FFFFFFF, 0xFF, H("2F00"))]],
    ),
    "delta time beyond the format": (
        smf(track(NOTE, H("90 80 80 80 00 80 3C 40"))),
        [NOTE_EVENTS],
    ),
    "delta time without end": (smf(track(NOTE, b"\xff" * 1_000_000)), [NOTE_EVENTS]),
    "delta time of a million zeros": (smf(track(NOTE, b"\x80" * 1_000_000 + on(0, 62))), [NOTE_EVENTS]),
    "unknown chunk between tracks": (
        smf(track(NOTE), chunk(b"XFIH", b"\x00MTrk\xff"), track(NOTE)),
        [[*NOTE_EVENTS, END_EVENT]] * 2,
    ),
    "unknown chunk before the tracks": (smf(chunk(b"junk", b"abc"), track(NOTE)), [[*NOTE_EVENTS, END_EVENT]]),
    "junk between tracks": (smf(track(NOTE), b"\x00\x01\x02", track(NOTE)), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "trailing bytes": (smf(track(NOTE)) + b"\x00\x00\x1a", [[*NOTE_EVENTS, END_EVENT]]),
    "trailing text": (smf(track(NOTE)) + b"made with love, 1994", [[*NOTE_EVENTS, END_EVENT]]),
    "a second file glued to the first": (smf(track(NOTE)) + smf(track(NOTE)), [[*NOTE_EVENTS, END_EVENT]]),
    "track count too high": (smf(track(NOTE), tracks=9), [[*NOTE_EVENTS, END_EVENT]]),
    "track count too low": (smf(track(NOTE), track(NOTE), tracks=1), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "empty track chunk": (smf(chunk(b"MTrk", b""), track(NOTE)), [[], [*NOTE_EVENTS, END_EVENT]]),
    "track without its End of Track": (smf(track(NOTE, end=b""), track(NOTE)),
                                       [NOTE_EVENTS, [*NOTE_EVENTS, END_EVENT]]),
    "last track truncated within an event": (smf(track(NOTE), track(NOTE, NOTE)[:-6]),
                                             [[*NOTE_EVENTS, END_EVENT], [*NOTE_EVENTS, (96, 0x90, H("3C40"))]]),
    "last track truncated within a delta time": (smf(chunk(b"MTrk", NOTE + b"\x81", 50)), [NOTE_EVENTS]),
    "last track truncated within a status": (smf(chunk(b"MTrk", NOTE + b"\x01\x90", 50)), [NOTE_EVENTS]),
    "last track truncated within a sysex": (smf(chunk(b"MTrk", NOTE + H("00 F0 20 43"), 50)), [NOTE_EVENTS]),
    "last track truncated within a sysex length": (smf(chunk(b"MTrk", NOTE + H("00 F0 81"), 50)), [NOTE_EVENTS]),
    "last track truncated within a meta event": (smf(chunk(b"MTrk", NOTE + H("00 FF 03"), 50)), [NOTE_EVENTS]),
    "last track header truncated": (smf(track(NOTE)) + b"MTrk\x00\x00", [[*NOTE_EVENTS, END_EVENT]]),
    "chunk length too long, last": (smf(track(NOTE, length=4000)), [[*NOTE_EVENTS, END_EVENT]]),
    "chunk length too long": (smf(track(NOTE, length=20), track(NOTE)), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "chunk length too long without End of Track": (
        smf(track(NOTE, end=b"", length=11), track(NOTE)),
        [NOTE_EVENTS, [*NOTE_EVENTS, END_EVENT]],
    ),
    "chunk length too long by a track, without End of Track": (
        smf(track(NOTE, end=b"", length=8 + 8 + 12), track(NOTE), track(NOTE)),
        [NOTE_EVENTS, [*NOTE_EVENTS, END_EVENT], [*NOTE_EVENTS, END_EVENT]],
    ),
    "chunk length too short": (smf(track(NOTE, length=5), track(NOTE)), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "chunk length 0": (smf(track(NOTE, length=0), track(NOTE, length=0)), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "chunk length of all ones": (smf(track(NOTE, length=0xFFFFFFFF), track(NOTE)), [[*NOTE_EVENTS, END_EVENT]] * 2),
    "data after End of Track": (
        smf(track(NOTE, END, on(0, 62), off(96, 62)), track(NOTE)),
        [[*NOTE_EVENTS, END_EVENT]] * 2,
    ),
    "meta event longer than its track": (smf(track(NOTE, H("00 FF 01 7F 41"), end=b""), track(NOTE)),
                                         [NOTE_EVENTS, [*NOTE_EVENTS, END_EVENT]]),
    "the bytes MTrk in a sysex": (
        smf(track(NOTE, H("00 F0 05") + b"MTrk\xf7"), track(NOTE)),
        [[*NOTE_EVENTS, (96, 0xF0, b"\x05MTrk\xf7"), END_EVENT], [*NOTE_EVENTS, END_EVENT]],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_writes_back_the_same_bytes(name):
    data, _ = FILES[name]
    assert parse_smf(data).to_bytes() == data


@pytest.mark.parametrize("name", FILES)
def test_reads_the_events(name):
    data, tracks = FILES[name]
    found = parse_smf(data).tracks
    assert [[tuple(event) for event in one.events] for one in found] == tracks


@pytest.mark.parametrize("length", range(14, len(smf(track(NOTE), track(NOTE)))))
def test_a_file_cut_anywhere_behind_its_header_writes_back(length):
    data = smf(track(NOTE), track(NOTE))[:length]
    assert parse_smf(data).to_bytes() == data


@pytest.mark.parametrize("seed", range(200))
def test_a_file_with_damaged_bytes_writes_back(seed):
    random = np.random.default_rng(seed)
    data = bytearray(FILES["every kind of channel message"][0] + FILES["sysex and escapes"][0][14:] + track(NOTE, NOTE))
    for place in random.integers(14, len(data), 5):
        data[place] = random.integers(256)
    assert parse_smf(bytes(data)).to_bytes() == bytes(data)


def test_columns_agree_with_the_bytes():
    only = parse_smf(smf(track(H("00 90 3C 40 81 00 3C F8 00"), program(0, 5, channel=2)))).tracks[0]
    assert only.deltas.tolist() == [0, 128, 0, 0]
    assert only.ticks.tolist() == [0, 128, 128, 128]
    assert only.statuses.tolist() == [0x90, 0x90, 0xC2, 0xFF]
    assert only.explicit.tolist() == [True, False, True, True]
    assert only.starts.tolist() == [0, 4, 9, 12]
    assert only.ends.tolist() == [4, 9, 12, 16]
    assert only.first_data(np.array([0, 1, 2])).tolist() == [0x3C, 0x3C, 5]
    assert only.last_data(np.array([0, 1])).tolist() == [0x40, 0]
    assert only.events[1] == Event(tick=128, status=0x90, data=H("3CF800"))
    assert len(only) == 4


def test_metas_are_found_by_kind():
    only = parse_smf(smf(track(meta(0, 3, b"one"), meta(10, 1, b"no"), meta(5, 3, b"x" * 200)))).tracks[0]
    assert list(only.metas(3)) == [(0, b"one"), (15, b"x" * 200)]


@pytest.mark.parametrize("division", [24, 96, 480, 960, 15360, 0x7FFF])
def test_ticks_per_beat_of_a_metrical_division(division):
    file = parse_smf(smf(track(NOTE), division=division))
    assert (file.division, file.ticks_per_beat, file.ticks_per_second) == (division, division, None)


@pytest.mark.parametrize(
    ("division", "per_second", "per_beat"),
    [
        (0xE728, 1000, 500),  # 25 frames of 40 ticks
        (0xE250, 2400, 1200),  # 30 frames of 80
        (0xE804, 96, 48),  # 24 frames of 4
        (0xE364, 100 * 30000 / 1001, 1499),  # 29.97 frames of 100
        (0xE700, 25, 12),  # 25 frames of 0, which can only be 1
    ],
)
def test_ticks_of_an_smpte_division(division, per_second, per_beat):
    file = parse_smf(smf(track(NOTE), division=division))
    assert file.ticks_per_second == pytest.approx(per_second)
    assert file.ticks_per_beat == per_beat


def test_a_division_of_zero_is_taken_for_480():
    assert parse_smf(smf(track(NOTE), division=0)).ticks_per_beat == 480


def test_header_fields():
    file = parse_smf(smf(track(NOTE), track(NOTE), kind=2, division=960))
    assert (file.format, file.division, len(file.tracks)) == (2, 960, 2)


def test_forty_thousand_notes_in_one_track():
    data = smf(track(*(on(0, 60 + i % 12) + off(10, 60 + i % 12) for i in range(40_000))))
    file = parse_smf(data)
    assert file.to_bytes() == data
    assert len(file.tracks[0]) == 80_001
    assert file.tracks[0].ticks[-1] == 400_000


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0x80, 0x2000, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0x0FFFFFFF])
def test_numbers_are_encoded_in_the_shortest_way(value):
    assert encode_number(value) == number(value)


def test_numbers_of_the_specification():
    assert encode_number(0x40) == H("40")
    assert encode_number(0x2000) == H("C000")
    assert encode_number(0x0FFFFFFF) == H("FFFFFF7F")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, world, this is text", "not a MIDI file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a MIDI file"),
        (b"MT", "cut short: 2 of"),
        (b"MThd", "cut short: 4 of"),
        (smf(track(NOTE))[:13], "cut short: 13 of"),
        (b"RIFF\x00\x00\x00\x00RMIDdata" + smf(track(NOTE)), "RIFF"),
    ],
)
def test_what_is_not_midi_is_refused_by_name(data, message):
    with pytest.raises(MidiError, match=message) as caught:
        parse_smf(data, source="song.mid")
    assert str(caught.value).startswith("song.mid: ")


def test_the_input_may_be_a_bytearray():
    assert parse_smf(bytearray(smf(track(NOTE)))).to_bytes() == smf(track(NOTE))


def test_tracks_that_state_too_short_a_length_are_read_in_linear_time(monkeypatch):
    scanned = []
    scan = smf_module._scan
    monkeypatch.setattr(smf_module, "_scan", lambda body, running: scanned.append(len(body)) or scan(body, running))
    data = smf(*[track(NOTE, end=b"", length=1) for _ in range(200)])
    assert parse_smf(data).to_bytes() == data
    assert sum(scanned) < 3 * len(data)
