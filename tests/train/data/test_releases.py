"""Telling the key's release from the pedal's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from midi_bytes import header, number, off, on, pedal, track

from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.train.data.read_midi import Pack, read_file
from duvhuman.train.data.releases import keys_released, pedal_spans

BEAT = 480
NOTES = 80


def midi(events: list[tuple[int, bytes]], *, kind: int = 0) -> bytes:
    """Events (absolute tick, bytes with delta 0) as a file of one track."""
    now, body = 0, b""
    for tick, event in sorted(events, key=lambda row: row[0]):
        body += number(tick - now) + event[1:]
        now = tick
    return header(kind, 1, BEAT) + track(body)


def played(ends: list[int], *, pedalled: bool = True, pedal_channel: int = 0) -> bytes:
    """A note each beat that ends so many ticks later; the pedal goes down with every note and up 400 ticks later."""
    events: list[tuple[int, bytes]] = []
    for index, end in enumerate(ends):
        start = index * BEAT
        events += [(start, on(0, 50 + index % 30, 40 + index % 40)), (start + end, off(0, 50 + index % 30))]
        if pedalled:
            events += [(start, pedal(0, 127, pedal_channel)), (start + 400, pedal(0, 0, pedal_channel))]
    return midi(events)


def released(data: bytes) -> list[bool]:
    smf = parse_smf(data, source="test")
    (part,) = read_parts(smf)
    return [bool(one) for one in keys_released(smf, part.notes)]


def test_notes_that_end_with_the_pedal_do_not_tell_when_the_key_was_released() -> None:
    at_lift, under_it, between = 400, 200, 450
    kinds = [at_lift, between, under_it, between]
    assert released(played(kinds * 20)) == [False, True, False, True] * 20


def test_where_most_notes_end_under_the_pedal_the_others_are_no_fair_sample() -> None:
    pedalled, free = [400, 400, 200, 450], [450, 450, 400, 450]
    known = released(played(pedalled * 50 + free * 50))
    assert not any(known[:150])
    assert known[-148:] == [True, True, False, True] * 37


def test_a_pianist_who_releases_keys_under_the_pedal_is_believed() -> None:
    rng = np.random.default_rng(0)
    assert all(released(played(rng.integers(50, 470, NOTES).tolist())))


@pytest.mark.parametrize("data", [played([400] * NOTES, pedalled=False), played([400] * NOTES, pedal_channel=3)])
def test_without_a_pedal_on_the_channel_every_release_is_the_keys(data: bytes) -> None:
    assert all(released(data))


def test_a_few_notes_under_the_pedal_tell_nothing() -> None:
    assert all(released(played([400] * 15)))


def test_the_spans_of_a_pedal_are_in_seconds_and_the_last_may_stay_down() -> None:
    presses = [(0, 0), (480, 100), (600, 120), (960, 63), (1440, 64)]
    events = [(tick, pedal(0, value)) for tick, value in presses]
    smf = parse_smf(midi([*events, (1920, on(0, 60)), (2400, off(0, 60))]), source="test")
    down, up = pedal_spans(smf, np.array([0]))
    assert down.tolist() == [0.5, 1.5]
    assert up.tolist() == [1.0, 2.5]
    assert len(pedal_spans(smf, np.array([1]))[0]) == 0


def test_a_prepared_part_says_which_releases_are_known(tmp_path: Path) -> None:
    (tmp_path / "a.mid").write_bytes(played([400, 450] * 40))
    ((part,), _) = read_file(Pack(tmp_path, instrument="keys", name="p"), "a.mid")
    assert part.columns["released"].tolist() == [False, True] * 40
