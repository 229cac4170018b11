"""Standard MIDI Files by the byte, for tests: none of this uses the code under test.

Conventions
-----------
Every function returns bytes. Events carry their delta time in front. Channels are 0..15.
"""

END = bytes.fromhex("00 FF 2F 00")


def number(value: int) -> bytes:
    """A variable-length number."""
    digits = [value & 0x7F]
    while value > 0x7F:
        value >>= 7
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


def on(delta: int, pitch: int, velocity: int = 64, channel: int = 0) -> bytes:
    return number(delta) + bytes([0x90 | channel, pitch, velocity])


def off(delta: int, pitch: int, velocity: int = 64, channel: int = 0) -> bytes:
    return number(delta) + bytes([0x80 | channel, pitch, velocity])


def pedal(delta: int, value: int, channel: int = 0, *, controller: int = 64) -> bytes:
    """A pedal that goes down (64 and more) or up."""
    return number(delta) + bytes([0xB0 | channel, controller, value])


def program(delta: int, value: int, channel: int = 0) -> bytes:
    return number(delta) + bytes([0xC0 | channel, value])


def sysex(message: str) -> bytes:
    """A system exclusive message, in hexadecimal without the F0."""
    data = bytes.fromhex(message)
    return number(0) + b"\xf0" + number(len(data)) + data


def rhythm_part(part: int, mode: int) -> bytes:
    """GS: what a part, from 0, is used for: 0 melodies, 1 and 2 drums."""
    total = 0x40 + 0x10 + part + 0x15 + mode
    return sysex(f"41 10 42 12 40 1{part:X} 15 {mode:02X} {-total & 0x7F:02X} F7")


def meta(delta: int, kind: int, data: bytes) -> bytes:
    return number(delta) + bytes([0xFF, kind]) + number(len(data)) + data


def title(text: str) -> bytes:
    return meta(0, 0x03, text.encode("latin-1"))


def tempo(delta: int, microseconds: int) -> bytes:
    return meta(delta, 0x51, microseconds.to_bytes(3, "big"))


def metre(delta: int, numerator: int, power: int) -> bytes:
    """A time signature of numerator / 2**power."""
    return meta(delta, 0x58, bytes([numerator, power, 24, 8]))


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A chunk; `length` is what it claims, if that is wrong."""
    return kind + (len(body) if length is None else length).to_bytes(4, "big") + body


def track(*events: bytes, end: bytes = END, length: int | None = None) -> bytes:
    return chunk(b"MTrk", b"".join(events) + end, length)


def header(kind: int, tracks: int, division: int) -> bytes:
    return chunk(b"MThd", kind.to_bytes(2, "big") + tracks.to_bytes(2, "big") + division.to_bytes(2, "big"))


def smf(*chunks: bytes, kind: int = 1, division: int = 480, tracks: int | None = None) -> bytes:
    """A file; `tracks` is the number it claims, if that is wrong."""
    return header(kind, len(chunks) if tracks is None else tracks, division) + b"".join(chunks)
