"""A Standard MIDI File codec that loses no byte: what `parse_smf` reads, `SmfFile.to_bytes` writes back identically.

The bytes of a file are kept as they are, and the events are an index into them: where each one starts, from which
ticks and status bytes follow. Whatever is not understood (unknown chunks, junk, the rest of a damaged track) is
therefore passed through, and an edit rewrites only the events it changes.

Conventions
-----------
Ticks are absolute, counted from the track's start. Columns are 1-D int64 arrays with one entry per event of a track,
in file order; offsets count bytes from the start of the track's body (behind its 8-byte chunk header). A status is
the status byte 0x80..0xFF, running status resolved. Running status lives on through meta and sysex events and from
one track into the next, as damaged but common files need it.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from duvhuman.arrays import IntArray
from duvhuman.errors import MidiError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE_OFF, NOTE_ON, CONTROL_CHANGE, PROGRAM_CHANGE, PITCH_BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
SUSTAIN, SOSTENUTO, PEDAL_DOWN = 64, 66, 64
"""The controllers of two pedals, and the least value at which these are down."""
SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
TRACK_NAME, PORT, END_OF_TRACK, TEMPO, TIME_SIGNATURE = 0x03, 0x21, 0x2F, 0x51, 0x58

MAX_DELTA = 0x0FFFFFFF
"""The largest variable-length number that the format allows."""
DEFAULT_DIVISION = 480
"""Ticks per quarter note assumed for a file that says 0."""

_DATA_BYTES = bytes(1 if 0xC0 <= status < 0xE0 or status in (0xF1, 0xF3) else
                    2 if 0x80 <= status < 0xF0 or status == 0xF2 else 0 for status in range(256))
_LONGEST_NUMBER = 16  # The format says 4 bytes; some writers pad with leading zeros.
_PADDING = bytes(8)
_DROP_FRAME_RATE = 30_000 / 1001


class Event(NamedTuple):
    """One event: its absolute tick, its status byte, and every byte behind the status byte as it stands."""

    tick: int
    status: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Track:
    """One MTrk chunk.

    Attributes
    ----------
    header : the chunk's 8 bytes, as they stand (the length in them may be wrong).
    body : every byte behind the header.
    starts : (E,) offset of each event's delta time.
    readable : offset behind the last event that could be read; from there on the body is passed through.
    running_in : status byte in force at the track's start (from the track before), 0 if none.
    """

    header: bytes
    body: bytes
    starts: IntArray
    readable: int
    running_in: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def bytes_array(self) -> NDArray[np.uint8]:
        """The body as numbers, with a few zeros behind it."""
        return np.frombuffer(self.body + _PADDING, dtype=np.uint8)

    @cached_property
    def ends(self) -> IntArray:
        """(E,) offset behind each event's last byte."""
        return np.append(self.starts[1:], self.readable)[: len(self)]

    @cached_property
    def _delta_and_offset(self) -> tuple[IntArray, IntArray]:
        offsets, deltas = self.starts.copy(), np.zeros(len(self), dtype=np.int64)
        active = np.arange(len(self))
        while len(active):
            byte = self.bytes_array[offsets[active]]
            deltas[active] = (deltas[active] << 7) | (byte & 0x7F)
            offsets[active] += 1
            active = active[byte > 0x7F]
        return deltas, offsets

    @property
    def deltas(self) -> IntArray:
        """(E,) ticks since the event before."""
        return self._delta_and_offset[0]

    @property
    def offsets(self) -> IntArray:
        """(E,) offset of the first byte behind the delta time: the status byte or, under running status, data."""
        return self._delta_and_offset[1]

    @cached_property
    def ticks(self) -> IntArray:
        """(E,) absolute ticks."""
        return np.cumsum(self.deltas)

    @cached_property
    def explicit(self) -> NDArray[np.bool_]:
        """(E,) whether the event states its status byte."""
        return self.bytes_array[self.offsets] > 0x7F

    @cached_property
    def statuses(self) -> IntArray:
        """(E,) status bytes, running status resolved."""
        first = self.bytes_array[self.offsets].astype(np.int64)
        channel = self.explicit & (first < SYSEX)
        latest = np.maximum.accumulate(np.where(channel, np.arange(len(self)), -1))
        running = np.where(latest >= 0, first[latest], self.running_in) if len(self) else first
        return np.where(self.explicit, first, running)

    @cached_property
    def data_offsets(self) -> IntArray:
        """(E,) offset of the first data byte, behind any real-time bytes that a channel message holds."""
        offsets = self.offsets + self.explicit
        inside = np.flatnonzero(self.statuses < SYSEX)
        while len(inside):
            inside = inside[_is_real_time(self.bytes_array[offsets[inside]])]
            offsets[inside] += 1
        return offsets

    def first_data(self, events: IntArray) -> IntArray:
        """(N,) first data byte of these channel messages: the pitch of a note, the program of a program change."""
        return self.bytes_array[self.data_offsets[events]].astype(np.int64)

    def last_data(self, events: IntArray) -> IntArray:
        """(N,) last data byte of these channel messages: the velocity of a note."""
        return self.bytes_array[self.ends[events] - 1].astype(np.int64)

    @property
    def running_out(self) -> int:
        """The status byte in force at the track's end, 0 if none."""
        channel = self.statuses[self.statuses < SYSEX]
        return int(channel[-1]) if len(channel) else self.running_in

    @property
    def events(self) -> list[Event]:
        """The events as objects: convenient, but slower than the columns."""
        starts = self.offsets + self.explicit
        columns = zip(self.ticks.tolist(), self.statuses.tolist(), starts.tolist(), self.ends.tolist(), strict=True)
        return [Event(tick, status, self.body[start:end]) for tick, status, start, end in columns]

    def metas(self, kind: int) -> Iterator[tuple[int, bytes]]:
        """The tick and the content of every meta event of this kind (0..127), in file order."""
        is_meta = np.flatnonzero(self.statuses == META)
        for index in is_meta[self.bytes_array[self.offsets[is_meta] + 1] == kind].tolist():
            yield int(self.ticks[index]), self._content(index, int(self.offsets[index]) + 2)

    def sysexes(self) -> Iterator[tuple[int, bytes]]:
        """The tick and the content, without its first byte (F0), of every system exclusive message, in file order."""
        for index in np.flatnonzero(self.statuses == SYSEX).tolist():
            yield int(self.ticks[index]), self._content(index, int(self.offsets[index]) + 1)

    def _content(self, index: int, start: int) -> bytes:
        """What stands behind the length that begins at this offset."""
        while self.body[start] > 0x7F:
            start += 1
        return self.body[start + 1 : int(self.ends[index])]

    @property
    def ended(self) -> bool:
        """Whether the last event read is the End of Track."""
        if not len(self):
            return False
        last = int(self.offsets[-1])
        return self.body[last] == META and self.body[last + 1] == END_OF_TRACK


@dataclass(frozen=True, eq=False)
class SmfFile:
    """A Standard MIDI File.

    Attributes
    ----------
    header : the MThd chunk, as it stands.
    chunks : what follows it: tracks, and as bytes whatever is not a track.
    """

    header: bytes
    chunks: tuple[Track | bytes, ...]

    @property
    def format(self) -> int:
        """0 (one track), 1 (tracks played together) or 2 (independent tracks); other numbers as they stand."""
        return int.from_bytes(self.header[8:10], "big")

    @property
    def division(self) -> int:
        """The 16 bits of the time division: ticks per quarter note, or SMPTE where bit 15 is set."""
        return int.from_bytes(self.header[12:14], "big")

    @property
    def ticks_per_second(self) -> float | None:
        """Ticks per second of a file in SMPTE time, None for one in ticks per quarter note."""
        if self.division < 0x8000:
            return None
        frames = 256 - (self.division >> 8)
        return (_DROP_FRAME_RATE if frames == 29 else frames) * max(self.division & 0xFF, 1)

    @property
    def ticks_per_beat(self) -> int:
        """Ticks per quarter note; those of half a second (120 beats per minute) in SMPTE time."""
        if self.ticks_per_second is None:
            return self.division or DEFAULT_DIVISION
        return max(round(self.ticks_per_second / 2), 1)

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks, in file order."""
        return tuple(chunk for chunk in self.chunks if isinstance(chunk, Track))

    def to_bytes(self) -> bytes:
        """The file, byte for byte."""
        parts = [self.header]
        for chunk in self.chunks:
            parts += [chunk.header, chunk.body] if isinstance(chunk, Track) else [chunk]
        return b"".join(parts)


def parse_smf(data: bytes, *, source: str = "<bytes>") -> SmfFile:
    """Read a Standard MIDI File.

    Parameters
    ----------
    data : the whole file.
    source : its name, for messages.

    Returns
    -------
    SmfFile
        `to_bytes` of it equals `data`, whatever state the file is in.

    Raises
    ------
    MidiError
        If `data` is empty, is not a Standard MIDI File, or ends within its header.
    """
    data = bytes(data)
    _check_header(data, source)
    position = 8 + int.from_bytes(data[4:8], "big")
    if not 14 <= position <= len(data):
        position = 14
    header = data[:position]
    chunks: list[Track | bytes] = []
    running = 0
    while position < len(data):
        if data.startswith(b"MTrk", position) and position + 8 <= len(data):
            track = _read_track(data, position, running)
            chunks.append(track)
            running = track.running_out
            position += 8 + len(track.body)
        else:
            end = _end_of_unknown(data, position)
            chunks.append(data[position:end])
            position = end
    return SmfFile(header, tuple(chunks))


def encode_number(value: int) -> bytes:
    """`value` (not negative) as a variable-length number."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | value & 0x7F)
    return bytes(reversed(out))


def _check_header(data: bytes, source: str) -> None:
    if not data:
        raise MidiError(f"{source}: the file is empty. Export the MIDI file again.")
    if data.startswith(b"RIFF") and data[8:12] == b"RMID":
        raise MidiError(f"{source}: a MIDI file inside a RIFF wrapper (.rmi). Save it as a plain Standard MIDI File.")
    if not data.startswith(b"MThd"[: len(data)]):
        raise MidiError(f"{source}: not a MIDI file: it starts with {data[:8]!r}, not b'MThd'. "
                        "Pass a Standard MIDI File (.mid).")
    if len(data) < 14:
        raise MidiError(f"{source}: cut short: {len(data)} of the header's 14 bytes are there. "
                        "Export or copy the MIDI file again.")


def _is_real_time(byte: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (byte >= 0xF8) & (byte < META)


def _is_chunk(data: bytes, position: int) -> bool:
    """Whether a chunk, known or not, plausibly starts here: four printable characters and a length that fits."""
    kind = data[position : position + 4]
    if kind == b"MTrk":
        return True
    length = int.from_bytes(data[position + 4 : position + 8], "big")
    printable = len(kind) == 4 and all(0x20 <= byte < 0x7F for byte in kind)
    return printable and position + 8 + length <= len(data)


def _end_of_unknown(data: bytes, position: int) -> int:
    """Where the bytes at `position`, which are no track, end: an unknown chunk, or junk up to the next track."""
    if data.startswith(b"MThd", position):
        return len(data)  # A second file glued to this one: its tracks are not ours.
    if _is_chunk(data, position):
        return position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    following = data.find(b"MTrk", position + 1)
    return following if following >= 0 else len(data)


def _read_track(data: bytes, position: int, running: int) -> Track:
    """The track whose chunk starts at `position`, however wrong the length that it states is."""
    base = position + 8
    limit = min(base + int.from_bytes(data[position + 4 : base], "big"), len(data))
    starts, readable, ended = _scan(data[base:limit], running)
    following = _swallowed_track(data, base, limit, starts, readable)
    if following >= 0:
        limit = following
        starts, readable, ended = _scan(data[base:limit], running)
    elif not ended and limit < len(data) and not _is_chunk(data, limit):  # The length is too short.
        following = data.find(b"MTrk", limit)
        longer, stop, found = _scan(data[base : following if following >= 0 else len(data)], running)
        if found:
            starts, readable, limit = longer, stop, base + stop
    return Track(data[position:base], data[base:limit], np.array(starts, dtype=np.int64), readable, running)


def _swallowed_track(data: bytes, base: int, limit: int, starts: list[int], readable: int) -> int:
    """Where the next track starts if this one's length is too long and takes it in, else -1.

    It starts behind the last event, or where an event would start: elsewhere the letters are part of an event.
    """
    place = data.find(b"MTrk", base, limit + 3)
    while place >= 0:
        nearest = bisect.bisect_left(starts, place - base)
        if place - base >= readable or starts[nearest : nearest + 1] == [place - base]:
            return place
        place = data.find(b"MTrk", place + 1, limit + 3)
    return -1


def _scan(body: bytes, running: int) -> tuple[list[int], int, bool]:
    """Find the events: their starts, the offset behind the last one, and whether that is the End of Track.

    Zeros behind the body end every number that the body cuts off, so that the loop needs one bounds check only.
    """
    data, limit = body + _PADDING, len(body)
    sizes = _DATA_BYTES
    starts: list[int] = []
    append = starts.append
    size = sizes[running]
    position = 0
    while position < limit:
        start = position
        if data[position] > 0x7F:
            position = _end_of_number(data, position)
            if position < 0:
                return starts, start, False
        else:
            position += 1
        status = data[position]
        if status < SYSEX:
            if status > 0x7F:
                size = sizes[status]
                position += 1
            elif not size:
                return starts, start, False
            end = position + size
            if data[position] > 0x7F or data[end - 1] > 0x7F:
                end = _end_of_message(data, position, size)
        elif status in (META, SYSEX, ESCAPE):
            kind = data[position + 1]
            position += 2 if status == META else 1
            end = _end_of_number(data, position)
            if end < 0:
                return starts, start, False
            end += _number(data, position, end)
            if status == META and kind == END_OF_TRACK and end <= limit:
                append(start)
                return starts, end, True
        else:
            end = position + 1 + sizes[status]
        if end > limit:
            return starts, start, False
        append(start)
        position = end
    return starts, position, False


def _end_of_number(data: bytes, position: int) -> int:
    """Offset behind the variable-length number at `position`; -1 if it is larger or longer than can be meant."""
    end = position
    while data[end] > 0x7F:
        end += 1
    end += 1
    size = end - position
    if size <= 4 or (size <= _LONGEST_NUMBER and len(data[position:end].lstrip(b"\x80")) <= 4):
        return end
    return -1


def _number(data: bytes, position: int, end: int) -> int:
    value = 0
    for byte in data[position:end]:
        value = value << 7 | byte & 0x7F
    return value


def _end_of_message(data: bytes, position: int, size: int) -> int:
    """Offset behind `size` data bytes, passing over real-time bytes that stand between them."""
    while size and position < len(data):
        size -= not 0xF8 <= data[position] < META
        position += 1
    return position
