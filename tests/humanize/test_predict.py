"""predict: what it tells is what humanize writes.

A tiny network of random weights plays; that it plays badly does not matter here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import PIANO, flat_song, part, riff, song
from midi_bytes import track
from playing import BUSY, tables

from duvhuman.errors import DuvhumanWarning
from duvhuman.humanize.api import humanize, predict
from duvhuman.humanize.report import Prediction
from duvhuman.models.config import ModelConfig

pytestmark = pytest.mark.usefixtures("tiny")


def assert_agree(data: bytes, instrument: str, **options: Any) -> Prediction:
    """`predict` and `humanize` tell the same of every note of the parts that are played."""
    said = predict(data, instrument, seed=7, **options)
    result = humanize(data, instrument, seed=7, **options)
    new = [t for t, report in zip(tables(result.to_bytes()), result.report.parts, strict=True) if not report.skipped]
    onset, pitch, velocity, beats, ticks, track, channel = (
        np.concatenate([getattr(t, name) for t in new])
        for name in ("onset_ticks", "pitch", "velocity", "duration_beats", "duration_ticks", "track", "channel")
    )
    order = np.lexsort((pitch, onset))
    assert said.report == result.report
    assert said.onset_ticks.tolist() == onset[order].tolist()
    assert said.pitch.tolist() == pitch[order].tolist()
    assert said.velocity.tolist() == velocity[order].tolist()
    assert said.duration_beats == pytest.approx(beats[order])
    assert said.duration_ticks.tolist() == ticks[order].tolist()
    assert (said.track.tolist(), said.channel.tolist()) == (track[order].tolist(), channel[order].tolist())
    return said


def test_predict_agrees_with_humanize_over_several_parts() -> None:
    said = assert_agree(BUSY, "auto", variation=0.5)
    assert len(said) == 70  # all but the drums


@pytest.mark.parametrize(
    "options", [{}, {"intensity": 0.4}, {"velocity": False}, {"duration": False}, {"intensity": 0}]
)
def test_predict_agrees_with_humanize_under_every_option(options: dict[str, Any]) -> None:
    assert_agree(flat_song(), "guitar", **options)


def test_predict_agrees_with_humanize_where_notes_overlap_protected_and_other_ones() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        notes = [
            (int(o), int(p), 80, int(d))
            for o, p, d in zip(
                rng.integers(0, 40, 120) * 60, rng.integers(31, 43, 120), rng.integers(0, 600, 120), strict=True
            )
        ]
        data = song(part(notes[:60]), part(notes[60:], number=PIANO, channel=1), part(notes[30:80], number=None))
        assert_agree(data, "auto", protect=[35, 36])
        assert_agree(data, "guitar")


def test_a_prediction_is_of_arrays_of_one_length_with_bins_of_the_decoded_values() -> None:
    said = predict(flat_song(), "guitar", seed=7)
    assert said.velocity_bin.tolist() == (said.velocity * 16 // 128).tolist()
    articulation = np.log2(said.duration_beats / 0.5)
    edges = np.array(ModelConfig().duration_edges)
    assert said.duration_bin.tolist() == np.searchsorted(edges, articulation, side="right").tolist()
    for name in ("velocity_bin", "duration_bin", "velocity", "onset_ticks", "pitch"):
        assert getattr(said, name).shape == (64,)
        assert getattr(said, name).dtype == np.int64
    for name in ("velocity_probabilities", "duration_probabilities"):
        assert getattr(said, name).sum(axis=1) == pytest.approx(np.ones(64))
    assert said.spread.shape == said.duration_beats.shape == (64,)
    assert said.spread.min() > 0
    assert said.velocity.min() >= 1
    assert said.velocity.max() <= 127
    assert len(said) == 64


def test_a_protected_note_is_predicted_to_be_what_it_is() -> None:
    notes = riff(20)
    notes[4] = (4 * 240, 12, 33, 240)
    said = predict(song(part(notes)), "guitar", seed=7)
    assert (said.pitch[4], said.velocity[4], said.velocity_bin[4], said.duration_beats[4]) == (12, 33, 4, 0.5)
    assert said.velocity_probabilities[4].tolist() == np.eye(16)[4].tolist()
    assert said.duration_probabilities[4].tolist() == np.eye(16)[9].tolist()  # the bin of "as written"
    assert said.spread[4] == 0


def test_a_prediction_of_nothing() -> None:
    with pytest.warns(DuvhumanWarning, match="nothing to play"):
        said = predict(song(track()), "guitar", seed=3)
    assert (len(said), said.seed) == (0, 3)
    assert said.velocity_probabilities.shape == said.duration_probabilities.shape == (0, 16)
