"""Learn what makes two notes alike to a player: the weights in `duvhuman.train.personal.likeness`.

A part's first half is the take, as in `like_a_take.py`; what the network (base and adapter) does not expect there is
remembered, and corrects what it expects of those bars of the second half that the take does not hold. By gradient
descent the families of features are given the weights with which that comes nearest to the player on training parts:
in Pearson's r of velocities, and in the mean absolute error of articulation. Both are then told of validation parts,
with the weights that ship and with those that were learnt.

Conventions
-----------
Nothing is fitted but these weights, how much the memory's own noise is trusted less (`RIDGE`) and how much of what it
says is done (`BELIEVED`): LoRA, which personal adapters train as well, is not. Velocity r is of what is expected,
before any stretch; articulation MAE is of ln(performed / written duration), where that is known.

    python benchmarks/likeness.py --data prepared
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from common import SHIPPED, add_data_options, add_instruments, network_of, print_heading, print_row
from like_a_take import Case, cases
from plain_errors import run
from torch import Tensor, nn

from duvhuman.errors import DataError
from duvhuman.humanize.decode import decode_articulation, decode_velocity
from duvhuman.humanize.features import compute_features, feature_names
from duvhuman.humanize.perform import listen
from duvhuman.humanize.score import Hints, gap_to_next_onset
from duvhuman.models.memory import BELIEVED, RIDGE, SMALLEST_SCALE, alike
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.deadpan import Pair, pair_as_written
from duvhuman.train.pairs.encode import RANGES
from duvhuman.train.personal.likeness import FAMILIES, IMPORTANCE, family_of, remembered

BATCH, LEARNING_RATE = 24, 0.08
MEMORIES = ("velocity r: no memory", "ships", "learnt", "articulation MAE: no memory", "ships", "learnt")
VELOCITY, ARTICULATION = 0, 1
NAMES = [feature_names()[column] for column in remembered(feature_names()).tolist()]
FAMILY = torch.tensor([list(FAMILIES).index(family_of(name)) for name in NAMES])


@dataclass(frozen=True)
class Heard:
    """A part in two halves: (M, C) features of the take and (N, C) of what is judged, standardised over the take; the
    residual (M, 2) of velocity and articulation there; what is expected (N, 2) and what was played (N, 2) here. NaN
    where it is not known.
    """

    take: Tensor
    fresh: Tensor
    residual: Tensor
    expected: Tensor
    played: Tensor


class Likeness(nn.Module):
    """What the families weigh for one of the two corrections, as logarithms, and how the memory is believed."""

    def __init__(self, which: int) -> None:
        super().__init__()
        self.which = which
        self.importance = nn.Parameter(torch.zeros(len(FAMILIES)))
        self.ridge, self.believed = nn.Parameter(torch.tensor(0.1).log()), nn.Parameter(torch.tensor(0.75).log())

    @classmethod
    def shipped(cls, which: int) -> Likeness:
        """The weights that ship."""
        made = cls(which)
        made.importance.data = torch.tensor([IMPORTANCE[family][which] for family in FAMILIES]).log()
        made.ridge.data, made.believed.data = torch.tensor(RIDGE).log(), torch.tensor(BELIEVED[which]).log()
        return made

    def forward(self, part: Heard) -> Tensor:
        """(N,) what is expected of the notes that are judged, corrected by the memory of the take."""
        residual = part.residual[:, self.which]
        known = residual.isfinite()
        usual = residual[known].mean() if self.which == ARTICULATION else torch.zeros(())
        take, weighs = part.take[known], self.importance.exp()[FAMILY] / len(FAMILY)
        system = alike(take, take, weighs) + self.ridge.exp() * torch.eye(len(take))
        weights = self.believed.exp() * torch.linalg.solve(system, residual[known] - usual)
        correction: Tensor = alike(part.fresh, take, weighs) @ weights + usual
        return part.expected[:, self.which] + correction

    def loss(self, part: Heard) -> Tensor:
        """1 - r of velocities, or the MAE of articulation in natural logarithms."""
        played = part.played[:, self.which]
        known = played.isfinite()
        played, ours = played[known], self.forward(part)[known]
        if self.which == ARTICULATION:
            return math.log(2) * (ours - played).abs().mean()
        return 1 - torch.cosine_similarity(ours - ours.mean(), played - played.mean(), dim=0)

    def judges(self, part: Heard) -> bool:
        """Whether something is known of both halves."""
        return bool(part.residual[:, self.which].isfinite().any() and part.played[:, self.which].isfinite().any())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_instruments(parser)
    add_data_options(parser, max_parts=400, max_notes=768, of="instrument")
    parser.add_argument("--epochs", type=int, default=4, help="passes through the training parts (4)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # nothing here is large
    data = PhraseData(options.data)
    training, judged = [], {}
    for instrument in options.instruments:
        training += list(heard(data, instrument, "train", options.max_parts, options.max_notes))
        judged[instrument] = list(heard(data, instrument, "valid", options.max_parts, options.max_notes))
        counts = f"{len(judged[instrument])} validation parts, {len(training)} training parts up to now"
        print(f"{instrument}: {counts}", flush=True)
    learnt = [learn(Likeness(which), training, options.epochs) for which in (VELOCITY, ARTICULATION)]
    print()
    print_heading("family", "velocity: ships", "learnt", "articulation: ships", "learnt")
    for number, family in enumerate(FAMILIES):
        pairs = ((f"{IMPORTANCE[family][one.which]:g}", f"{one.importance[number].exp():.3g}") for one in learnt)
        print_row(family, *chain.from_iterable(pairs))
    print_row("RIDGE", *chain.from_iterable((f"{RIDGE:g}", f"{one.ridge.exp():.3g}") for one in learnt))
    believed = ((f"{BELIEVED[one.which]:g}", f"{one.believed.exp():.3g}") for one in learnt)
    print_row("BELIEVED", *chain.from_iterable(believed))
    print()
    print_heading("validation", "parts", *MEMORIES)
    for instrument, parts in judged.items():
        print_row(instrument, len(parts), *(f"{value:.3f}" for one in learnt for value in figures(one, parts)))


def heard(data: PhraseData, instrument: str, split: str, max_parts: int, max_notes: int) -> Iterator[Heard]:
    """The parts that can be learnt from or judged by, as the network hears them."""
    network = network_of(SHIPPED, instrument)
    plain = replace(network.config, velocity_gain=1.0, velocity_detail=1.0, spread_share=0.0, swell_gain=1.0)
    for number, case in enumerate(cases(data, data.select(split=split, instrument=instrument), max_notes)):
        if number == max_parts:
            break
        level, spread = case.take.velocity.mean(), np.clip(case.take.velocity.std(), *RANGES)
        network.config = replace(plain, typical_level=round(float(level), 2), typical_range=round(float(spread), 2))
        yield halves(network, case)


def halves(network: PhraseTransformer, case: Case) -> Heard:
    """Both halves of a part as `network` hears them, told the take's level and range."""
    columns = remembered(feature_names())

    def as_heard(pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
        played = np.stack([pair.played.velocity, pair.articulation], axis=1)
        flat = np.full(len(pair.score), np.round(pair.played.velocity.mean()))
        said = listen(network, pair.score, flat, keep=False)
        expected = np.stack(
            [decode_velocity(said, network.config)[0], decode_articulation(said, network.config)], axis=1
        )
        features = torch.from_numpy(compute_features(pair.score, Hints.none(len(pair.score))))[:, columns]
        return features, torch.from_numpy(expected).float(), torch.from_numpy(played).float()

    take, expected, played = as_heard(pair_as_written(case.take, gap_to_next_onset(case.take.score)))
    residual = played - expected
    residual[:, VELOCITY] -= residual[:, VELOCITY].mean()
    middle, scale = take.mean(dim=0), take.std(dim=0, correction=0)
    scale = torch.where(scale > 1e-3, scale.clamp(min=SMALLEST_SCALE), torch.inf)  # what does not vary tells nothing
    rest, wanted, truth = (values[torch.from_numpy(case.fresh)] for values in as_heard(case.rest))
    return Heard((take - middle) / scale, (rest - middle) / scale, residual, wanted, truth)


def learn(likeness: Likeness, parts: Sequence[Heard], epochs: int) -> Likeness:
    """Gradient descent on the mean loss of the parts, which prints that of every epoch."""
    parts = [part for part in parts if likeness.judges(part)]
    if not parts:
        raise DataError("no training parts of two halves to learn from; prepare more songs")
    optimizer, order = torch.optim.Adam(likeness.parameters()), np.random.default_rng(0)
    batches = [
        (epoch, batch) for epoch in range(epochs)
        for batch in np.array_split(order.permutation(len(parts)), -(-len(parts) // BATCH))
    ]
    losses: list[list[float]] = [[] for _ in range(epochs)]
    for step, (epoch, batch) in enumerate(batches):
        optimizer.zero_grad()
        for index in batch:
            loss = likeness.loss(parts[index])
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            losses[epoch].append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - 0.9 * step / len(batches))
        optimizer.step()
    name = "articulation MAE" if likeness.which == ARTICULATION else "1 - velocity r"
    means = ", ".join(f"{np.mean(values):.4f}" for values in losses)
    print(f"{name} of the training parts by epoch: {means}", flush=True)
    return likeness.requires_grad_(False)


def figures(learnt: Likeness, parts: Sequence[Heard]) -> Iterator[float]:
    """The mean figure of the parts without a memory, with the weights that ship, and with those that were learnt."""
    which = learnt.which
    judged = [part for part in parts if learnt.judges(part)]
    nothing = Likeness.shipped(which)
    nothing.believed.data = torch.tensor(-torch.inf)
    for likeness in (nothing, Likeness.shipped(which), learnt):
        with torch.no_grad():
            loss = float(np.mean([float(likeness.loss(part)) for part in judged])) if judged else float("nan")
        yield loss if which == ARTICULATION else 1 - loss


if __name__ == "__main__":
    run(main)
