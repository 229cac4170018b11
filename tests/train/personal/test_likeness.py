"""What makes two notes alike: every feature that is compared is of one family, and every family holds something."""

from __future__ import annotations

import torch

from duvhuman.humanize.features import feature_names
from duvhuman.train.personal.likeness import FAMILIES, IMPORTANCE, family_of, importance_of, remembered

NAMES = [feature_names()[column] for column in remembered(feature_names()).tolist()]


def test_neither_written_lengths_nor_hints_are_compared() -> None:
    left_out = {name.removesuffix("_given") for name in set(feature_names()) - set(NAMES)}
    written = {"nominal_known", "nominal_beats", "nominal_seconds", "legato"}
    assert left_out == written | {"level", "range", "swell", "accent"}


def test_every_family_holds_a_feature_and_has_its_weights() -> None:
    assert {family_of(name) for name in NAMES} == set(FAMILIES) == set(IMPORTANCE)
    assert min(min(weights) for weights in IMPORTANCE.values()) > 0


def test_a_feature_is_of_the_family_that_its_name_says() -> None:
    families = {
        "pitch": "pitch", "pitch_next_beats": "the same pitch", "height_1s": "pitch", "height_4s": "height",
        "second_next_gap_beats": "two chords away", "next_gap_beats": "gap after", "next_size": "what follows",
        "voice_previous_interval": "what came before", "off_triplet": "place in the beat", "tempo": "all else",
    }
    assert {name: family_of(name) for name in families} == families


def test_importance_has_a_row_for_velocity_and_one_for_articulation() -> None:
    assert torch.equal(importance_of(["next_gap_beats", "pitch"]), torch.tensor([[3.0, 20.0], [150.0, 2.0]]))
