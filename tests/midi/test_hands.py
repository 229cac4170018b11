"""Which voices are one player's, on files made by hand."""

import pytest
from midi_bytes import off, on, program, smf, title, track

from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf

PIANO, ORGAN, GUITAR, VIOLIN = 0, 19, 25, 40
HIGH, LOW = 72, 48
DRUMS = 9


def voice(name="", sound=PIANO, *, channel=0, pitch=HIGH):
    """A track with one voice; without a program if `sound` is None."""
    first = [] if sound is None else [program(0, sound, channel=channel)]
    return track(title(name), *first, on(0, pitch, channel=channel), off(480, pitch, channel=channel))


def several(*sounds):
    """A track with a voice on each of channels 0, 1, ..., of these programs."""
    events = [program(0, sound, channel=channel) for channel, sound in enumerate(sounds) if sound is not None]
    for channel in range(len(sounds)):
        events += [on(0, 50 + channel, channel=channel), off(240, 50 + channel, channel=channel)]
    return track(*events)


def players(*tracks, **options):
    """The (track, channel) pairs of each part's voices."""
    found = read_parts(parse_smf(smf(*tracks)), **options)
    return [sorted(set(zip(p.notes.track.tolist(), p.notes.channel.tolist(), strict=True))) for p in found]


TOGETHER, APART = [[(0, 0), (1, 1)]], [[(0, 0)], [(1, 1)]]


def test_two_channels_of_one_keyboard_and_nothing_else_are_one_player():
    assert players(voice(), voice(channel=1, pitch=LOW)) == TOGETHER


def test_notes_of_several_voices_stand_in_order_and_the_part_is_named_after_all():
    (part,) = read_parts(parse_smf(smf(voice("Treble"), voice("Low", channel=1, pitch=LOW))))
    assert part.notes.pitch.tolist() == [LOW, HIGH]
    assert (part.name, part.tracks, part.channel, part.program) == ("Treble / Low", (0, 1), 0, PIANO)


def test_an_organ_beside_a_piano_is_another_player():
    assert players(voice(), voice(sound=ORGAN, channel=1)) == APART


def test_a_keyboard_without_a_program_sounds_like_a_piano():
    assert players(voice(), voice("Piano", None, channel=1)) == TOGETHER
    assert players(voice(sound=ORGAN), voice("Piano", None, channel=1)) == APART


@pytest.mark.parametrize(("names", "one"), [
    (("Piano", "Piano"), True), (("Piano 1", "Piano 2"), True),
    (("Piano", "E-Piano"), False), (("Piano", "Organ"), False),
])
def test_staves_without_a_program_that_share_a_channel_and_are_called_the_same_are_one_player(names, one):
    staves = [voice(name, None, channel=1, pitch=pitch) for name, pitch in zip(names, (HIGH, LOW), strict=True)]
    assert ([(1, 1), (2, 1)] in players(voice("Flute", None), *staves)) is one


@pytest.mark.parametrize("channel", [0, 1])
def test_voices_that_name_no_instrument_are_one_player_if_they_are_said_to_be_keyboards(channel):
    hands = voice(sound=None), voice(sound=None, channel=channel, pitch=LOW)
    assert players(*hands, instrument="keys") == [[(0, 0), (1, channel)]]
    for instrument in (None, "guitar"):
        assert players(*hands, instrument=instrument) == [[(0, 0)], [(1, channel)]]


def test_of_tracks_that_are_not_chosen_nothing_is_said():
    hands = voice(sound=None), voice(sound=None, channel=1, pitch=LOW)
    assert players(*hands, instrument="keys", chosen=[0, 1]) == TOGETHER
    assert players(*hands, instrument="keys", chosen=[0]) == APART
    assert players(voice(), voice(channel=1), instrument="keys", chosen=[0]) == TOGETHER


@pytest.mark.parametrize(("name", "found"), [("Bass", TOGETHER), ("Guitar", APART), ("Strings", APART)])
def test_a_voice_that_is_called_another_instrument_is_no_hand_whatever_its_program(name, found):
    assert players(voice("Piano"), voice(name, channel=1, pitch=LOW)) == found


def test_of_staves_without_a_program_one_may_be_called_bass_if_they_are_said_to_be_a_keyboards():
    for upper in ("Treble", "RH", ""):
        staves = voice(upper, None), voice("Bass", None, channel=1, pitch=LOW)
        assert players(*staves, instrument="keys") == TOGETHER
        assert players(*staves) == APART
    assert players(voice("Piano", None), voice("Bass", None, channel=1), instrument="keys") == APART


@pytest.mark.parametrize("other", [
    voice(sound=VIOLIN, channel=2), voice("Bass", None, channel=2), voice(sound=None, channel=DRUMS),
])
def test_keyboards_in_a_song_are_players_of_their_own(other):
    assert players(voice(), voice(channel=1), other, instrument="keys")[:2] == APART


@pytest.mark.parametrize(("one", "other"), [
    ("Piano RH", "Piano LH"), ("Right Hand", "Left Hand"), ("r.h.", "l.h."), ("Klavier rechts", "Klavier links"),
    ("PIANO/RITE", "PIANO/LEFT"), ("main droite", "main gauche"), ("Piano R", "Piano L"),
])
def test_hands_in_a_song_are_known_by_their_names(one, other):
    violin = voice(sound=VIOLIN, channel=2)
    assert players(voice(one), voice(other, channel=1, pitch=LOW), violin) == [*TOGETHER, [(2, 2)]]


def test_hands_without_a_program_are_a_keyboards():
    violin = voice(sound=VIOLIN, channel=2)
    hands = [voice("Right Hand", None), voice("Left Hand", None, channel=1, pitch=LOW)]
    assert players(*hands, violin) == [*TOGETHER, [(2, 2)]]
    assert players(voice("Right Hand", None), voice("Bass", None, channel=1, pitch=LOW), violin)[:2] == APART


def test_sides_of_a_stereo_sound_are_no_hands():
    violin = voice(sound=VIOLIN, channel=2)
    assert players(voice("E-Piano right"), voice("E-Piano left", channel=1), violin) == [*APART, [(2, 2)]]


def test_a_right_hand_that_lies_lower_than_the_left_is_none():
    violin = voice(sound=VIOLIN, channel=2)
    assert players(voice("Right", pitch=LOW), voice("Left", channel=1), violin) == [*APART, [(2, 2)]]


def test_hands_of_two_keyboards_are_not_mixed():
    found = players(
        voice("Right"), voice("Left", channel=1, pitch=LOW), voice("Right", ORGAN, channel=2),
        voice("Left", ORGAN, channel=3, pitch=LOW), voice(sound=VIOLIN, channel=4),
    )
    assert found == [[(0, 0), (1, 1)], [(2, 2), (3, 3)], [(4, 4)]]


@pytest.mark.parametrize("name", ["MELODY", "Vocal 1", "Lead", "Soprano", "Gesang", "Flute", "Clarinet 1"])
def test_a_piano_that_goes_with_a_melody_is_a_player_of_its_own(name):
    assert players(voice(name), voice("Piano", channel=1, pitch=LOW)) == APART


@pytest.mark.parametrize("names", [("Melody in F", ""), ("Voice 1", "Voice 2"), ("Soprano", "Bass")])
def test_a_piece_that_is_called_a_melody_and_voices_of_a_fugue_are_played_by_one(names):
    assert players(voice(names[0]), voice(names[1], channel=1, pitch=LOW)) == TOGETHER


def test_a_track_of_one_instrument_on_many_channels_is_one_player():
    assert players(several(*[GUITAR] * 6)) == [[(0, channel) for channel in range(6)]]
    assert players(several(*[None] * 3), instrument="guitar") == [[(0, 0), (0, 1), (0, 2)]]


@pytest.mark.parametrize(("channels", "found"), [(15, 1), (8, 1), (7, 7)])
def test_the_notes_of_a_controller_may_lie_on_the_drum_channel_too(channels, found):
    order = [DRUMS, *(channel for channel in range(1, 16) if channel != DRUMS)][:channels]
    notes = [event for channel in order for event in (on(0, HIGH, channel=channel), off(240, HIGH, channel=channel))]
    parts = read_parts(parse_smf(smf(track(program(0, PIANO, channel=0), *notes))), instrument="keys")
    assert (len(parts), any(part.is_drums for part in parts)) == (found, found > 1)


def test_drums_that_strike_two_at_once_are_no_notes_of_a_controller():
    strokes = [event(0, pitch, channel=DRUMS) for event in (on, off) for pitch in (36, 42)]
    notes = [event for channel in range(8) for event in (on(0, HIGH, channel=channel), off(240, HIGH, channel=channel))]
    assert [part.is_drums for part in read_parts(parse_smf(smf(track(*strokes, *notes))))] == [False] * 8 + [True]


def test_drums_below_the_other_channels_are_no_notes_of_a_controller():
    """A melody chip's channels play a note at a time, and so may its drums."""
    notes = [event for channel in range(8) for event in (on(0, HIGH, channel=channel), off(240, HIGH, channel=channel))]
    strokes = [event(delta, pitch, channel=DRUMS) for pitch in (36, 38) for event, delta in ((on, 0), (off, 240))]
    assert [part.is_drums for part in read_parts(parse_smf(smf(track(*notes, *strokes))))][-1]


def test_keyboards_that_share_a_channel_but_no_program_are_players_of_their_own():
    assert players(voice(), voice(sound=ORGAN), several(GUITAR)) == [[(0, 0)], [(1, 0)], [(2, 0)]]
    assert players(voice(), voice(), several(GUITAR)) == [[(0, 0), (1, 0)], [(2, 0)]]


def test_a_song_in_one_track_is_many_players():
    assert players(several(GUITAR, GUITAR, GUITAR, VIOLIN)) == [[(0, channel)] for channel in range(4)]
    assert players(several(GUITAR, GUITAR)) == [[(0, 0)], [(0, 1)]]


def test_tracks_of_format_2_are_never_one_player():
    found = read_parts(parse_smf(smf(voice(), voice(channel=1), kind=2)))
    assert [part.tracks for part in found] == [(0,), (1,)]
