"""What is missing from a file that is cut short or damaged, in words for its owner."""

from __future__ import annotations

from duvhuman.midi.smf import SmfFile


def damage(smf: SmfFile) -> str:
    """Where a file breaks off; "" if all of it can be read.

    Bytes behind the end of a track are no damage, nor is a track without an end that is as long as it says.
    """
    stated, found = int.from_bytes(smf.header[10:12], "big"), len(smf.tracks)
    for number, track in enumerate(smf.tracks):
        missing = int.from_bytes(track.header[4:8], "big") > len(track.body)
        if (missing or track.readable < len(track.body)) and not track.ended:
            return f"track {number} cannot be read behind tick {track.ticks[-1] if len(track) else 0}"
    return f"{found} of its {stated} tracks are there" if found < stated else ""
