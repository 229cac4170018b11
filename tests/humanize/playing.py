"""To play as users do, and to read what was played, for tests."""

from __future__ import annotations

import io
from typing import Any

import mido
from builders import GUITAR, PIANO
from midi_bytes import chunk, meta, metre, off, on, program, smf, tempo, title, track

from duvhuman.humanize.api import humanize
from duvhuman.midi.notes import NoteTable, read_parts
from duvhuman.midi.smf import parse_smf


def played(midi: object, instrument: str = "guitar", **options: Any) -> bytes:
    options.setdefault("seed", 7)
    data = humanize(midi, instrument, **options).to_bytes()
    assert isinstance(data, bytes)
    return data


def tables(data: bytes) -> list[NoteTable]:
    return [found.notes for found in read_parts(parse_smf(data))]


def table(data: bytes) -> NoteTable:
    (only,) = tables(data)
    return only


def events(data: bytes) -> list[tuple[list[Any], list[Any], list[Any]]]:
    """For each track, as mido reads it: what may not change, note-ons without velocity, note-offs without time."""
    found = []
    known = data.replace(UNKNOWN_CHUNK, b"")  # which mido cannot read
    for messages in mido.MidiFile(file=io.BytesIO(known), clip=True).tracks:
        now, others, ons, offs = 0, [], [], []
        for message in messages:
            now += message.time
            if message.type == "note_on" and message.velocity:
                ons.append((now, message.channel, message.note))
            elif message.type in ("note_on", "note_off"):
                offs.append((message.type, message.channel, message.note, message.velocity))
            elif message.type != "end_of_track":
                others.append((now, *sorted(message.copy(time=0).dict().items(), key=str)))
        found.append((others, ons, sorted(offs)))
    return found


UNKNOWN_CHUNK = chunk(b"XFIH", b"unknown")
BUSY = smf(
    track(tempo(0, 400_000), metre(0, 3, 2), tempo(960, 600_000), title("Song"), meta(480, 0x06, b"Verse")),
    UNKNOWN_CHUNK,
    track(
        title("Gtr"), program(0, GUITAR), bytes.fromhex("00 B0 07 64"), bytes.fromhex("00 F0 05 7E 7F 09 01 F7"),
        *(event for i in range(40) for event in (
            on(0, 50 + i % 9, 80), bytes.fromhex("10 E0 00 50"), bytes.fromhex("20 B0 40 7F"), off(192, 50 + i % 9),
        )),
        bytes.fromhex("00 F7 02 F3 01"), meta(0, 0x7F, b"vendor"),
    ),
    track(program(0, PIANO, 1), *(e for i in range(30) for e in (on(0, 60 + i % 5, 64, 1), on(240, 60 + i % 5, 0, 1)))),
    track(*(e for _ in range(30) for e in (on(0, 38, 100, 9), off(240, 38, 64, 9)))),
    tracks=4,
)
"""Tempo changes, metre, sysex, escapes, vendor events, pitch bends, pedals, note-ons of velocity 0, drums, a chunk."""
