"""The shape of a PhraseTransformer and the tables needed to read its outputs.

Conventions
-----------
Articulation is log2(performed duration / nominal duration), without unit; 0 is exactly as written. Bin ``k`` of
articulation covers ``duration_edges[k - 1] <= articulation < duration_edges[k]``, the first and last being open.
Velocity bin ``k`` covers MIDI velocities ``8 * k .. 8 * k + 7``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from duvhuman.errors import ModelError

VELOCITY_BINS = 16
VELOCITY_BIN_WIDTH = 128 // VELOCITY_BINS
VELOCITY_BIN_EDGES = tuple(float(VELOCITY_BIN_WIDTH * k) for k in range(VELOCITY_BINS + 1))
VELOCITY_BIN_CENTRES = tuple(edge + (VELOCITY_BIN_WIDTH - 1) / 2 for edge in VELOCITY_BIN_EDGES[:-1])
"""The mean of the MIDI velocities in each bin."""
VELOCITY_CENTRE = 72.0
VELOCITY_SCALE = 18.0
"""The regression of velocity, and the level hint, are in units of ``(velocity - VELOCITY_CENTRE) / VELOCITY_SCALE``."""
EXPECTED_LEVEL = -1.0
"""A `ModelConfig.typical_level` that is found for each part (`duvhuman.humanize.perform.expected_level`)."""
LARGEST_GAIN = 10.0
"""No gain that is measured is larger: what a network expects to be all but flat stays so."""
DURATION_BINS = 16
DURATION_EDGES = (-3.0, -2.2, -1.6, -1.15, -0.8, -0.5, -0.3, -0.15, -0.05, 0.05, 0.2, 0.5, 1.0, 1.7, 2.5)
"""The 15 inner edges of the articulation bins: a few per cent wide around "as written", an octave wide far from it."""
SHAPE = ("d_model", "n_heads", "n_layers", "d_ff", "max_len")
"""The sizes of a network in `ModelConfig`."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that ``config.json`` of a model holds.

    Attributes
    ----------
    instrument : the instrument that the weights play, or ``"all"`` for a trunk.
    d_model, n_heads, n_layers, d_ff, max_len, dropout : the network; ``max_len`` in notes.
    feature_names : the columns that the input projection was trained on, in order.
    duration_edges : 15 inner edges of the articulation bins.
    velocity_gain : the factor that restores the players' spread to expected velocities (an expectation varies less than
        what it is the expectation of). Measured on the training split.
    contour_gain : takes the place of `velocity_gain` where the contour is told, which tells most of the spread.
    velocity_detail : how much of what sets a note's expected velocity apart from those around it is kept, 0..1, before
        the gain; all of it where the contour is told.
    swell_gain : how many times as far as expected passages lie from the level of the part
        (`duvhuman.humanize.decode.stretched`); 1 where the contour is told.
    register_tilt : MIDI velocities that a note of a recital is softer than expected for each semitone that it lies
        above those around it (`duvhuman.humanize.perform.tilt_of_recitals`), if `typical_level` is `EXPECTED_LEVEL`.
    passage_detail : how much of what sets a note apart from those written as loud is played, 0..1, where the user has
        written the dynamics of passages; where there are accents, half of it (`duvhuman.humanize.written`).
    spread_share : how far the gain grows where the network is less sure (`duvhuman.humanize.decode.stretched`): 0, not
        at all, to 1, until velocities vary as the network says they do, times `velocity_gain`.
    median_share : how much of a decoded articulation is the median of the bins, 0..1; the rest is the regression.
    trees_share : how much of the expected velocity is what trees say, 0..1 (`duvhuman.models.trees`).
    furthest_below, furthest_above : how many MIDI velocities a note may lie from the mean of its part: as far as a
        player went in their takes (`duvhuman.humanize.decode.within_reach`); 127: nothing bounds it.
    typical_range : velocity SD within a part, median over the training parts; what the range hint defaults to.
    typical_level : the mean velocity that the network is told of a part; 0: the part's own;
        `EXPECTED_LEVEL`: the one that the network expects of it.

    Raises
    ------
    ModelError
        If a value is outside what a network can have; the message names it.
    """

    instrument: str = "all"
    d_model: int = 512
    n_heads: int = 8
    n_layers: int = 4
    d_ff: int = 1024
    max_len: int = 128
    dropout: float = 0.1
    feature_names: tuple[str, ...] = ()
    duration_edges: tuple[float, ...] = DURATION_EDGES
    velocity_gain: float = 1.0
    contour_gain: float = 1.0
    velocity_detail: float = 1.0
    swell_gain: float = 1.0
    register_tilt: float = 0.0
    passage_detail: float = 0.6
    spread_share: float = 0.0
    median_share: float = 0.5
    trees_share: float = 0.0
    furthest_below: float = 127.0
    furthest_above: float = 127.0
    typical_range: float = 14.0
    typical_level: float = 0.0

    def __post_init__(self) -> None:
        for name in SHAPE:
            if (size := getattr(self, name)) < 1:
                raise ModelError(f"{name} must be 1 or more, not {size}")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout must be from 0 to below 1, not {self.dropout}")
        for name in (
            "velocity_gain", "contour_gain", "swell_gain", "typical_range", "furthest_below", "furthest_above"
        ):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ModelError(f"{name} must be a number from 0, not {value}")
        if not (0 <= self.typical_level <= 127 or self.typical_level == EXPECTED_LEVEL):
            raise ModelError(
                f"typical_level must be a MIDI velocity, 0 or {EXPECTED_LEVEL:g}, not {self.typical_level}"
            )
        if not math.isfinite(self.register_tilt):
            raise ModelError(f"register_tilt must be a number, not {self.register_tilt}")
        for name in ("velocity_detail", "passage_detail", "spread_share", "median_share", "trees_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ModelError(f"{name} must be from 0 to 1, not {value}")
        if not all(isinstance(name, str) for name in self.feature_names):
            raise ModelError(f"feature_names must hold names, not {self.feature_names!r}")
        if self.d_model % self.n_heads:
            raise ModelError(f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads})")
        if len(self.duration_edges) != DURATION_BINS - 1:
            raise ModelError(f"duration_edges needs {DURATION_BINS - 1} values, not {len(self.duration_edges)}")
        numbers = all(isinstance(edge, (int, float)) for edge in self.duration_edges)
        if not numbers or any(not low < high for low, high in pairwise(self.duration_edges)):
            raise ModelError(f"duration_edges must be numbers that rise, not {self.duration_edges!r}")

    @property
    def closed_duration_edges(self) -> tuple[float, ...]:
        """The 17 edges of the articulation bins: the outer two are as wide as those beside them."""
        edges = self.duration_edges
        return (2 * edges[0] - edges[1], *edges, 2 * edges[-1] - edges[-2])

    @property
    def gain_is_all(self) -> bool:
        """Whether `velocity_gain` alone tells how far velocities go: a take does, and so does a model in training."""
        return self.spread_share == 0

    def without_gains(self, instrument: str, n_layers: int) -> ModelConfig:
        """A network like this one, with so many layers, before anything is measured of it."""
        kept = {name: getattr(self, name) for name in (*SHAPE, "feature_names", "duration_edges")}
        return ModelConfig(instrument, **kept | {"n_layers": n_layers})

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that ``json.dump`` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`.

        Raises
        ------
        ModelError
            If a key is unknown or a value has the wrong type.
        """
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ModelError(f"unknown keys {unknown} in the model's config; it was written by another version")
        clean: dict[str, Any] = {}
        for name, value in values.items():
            default = known[name].default
            if isinstance(value, list):
                value = tuple(value)
            if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if type(value) is not type(default):
                raise ModelError(f"{name} in the model's config must be {type(default).__name__}, not {value!r}")
            clean[name] = value
        return cls(**clean)
