"""How fast the network trains: beside a plain float32 loop, and beside what the arithmetic of the device allows.

Usage: python benchmarks/train_speed.py [--device auto] [--seconds 30] [--batch-size 64] [--schedule]

Everything is measured on synthetic phrases of 128 notes, after a warm-up, loops taking turns, so that other work on
the machine slows all of them alike. ``--schedule`` (on CUDA the default) also trains the whole v3 base schedule: 20
epochs over 102,878 phrases, those of all four instruments of the model's predecessor, in batches of 16 and of 256.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from plain_errors import run
from torch import nn

from duvhuman.humanize.features import feature_names
from duvhuman.models.config import DURATION_EDGES, ModelConfig
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer
from duvhuman.train.commands.common import choose_device
from duvhuman.train.config import TrainConfig
from duvhuman.train.data.storage import TEMPO_UNIT, TICKS_PER_BEAT, PartRow, StoredPart
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.feed import Feed
from duvhuman.train.run.losses import learning_rate, loss_terms
from duvhuman.train.run.step import Stepper, choose_precision

PHRASES, NOTES, EPOCHS = 102_878, 128, 20
PART_PHRASES = 64
V3 = TrainConfig()


def main() -> None:
    """Measure, and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=30.0, help="so long each loop is measured (30)")
    parser.add_argument("--batch-size", type=int, default=64, help="phrases in a batch of the recommended loop (64)")
    parser.add_argument("--schedule", action="store_true", help="train the whole v3 schedule; hours on a CPU")
    args = parser.parse_args()
    device = choose_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    best = choose_precision("auto", device)
    rates = {precision: matrix_rate(device, precision) for precision in dict.fromkeys(("float32", best))}
    per_note = operations_per_note()
    total = per_note * PHRASES * NOTES * EPOCHS
    print(f"{name}; matrices at {', '.join(f'{rate / 1e12:.2f} TFLOP/s ({kind})' for kind, rate in rates.items())}")
    print(f"{per_note / 1e6:.1f} MFLOP a note; the v3 base schedule of all four instruments is {total:.2e} FLOP,")
    print(f"{total / rates[best]:,.0f} s at that rate\n")
    print_loops(device, args.seconds, args.batch_size, per_note, rates[best])
    if args.schedule or device.type == "cuda":
        print_schedule(device, best, per_note, rates[best])


def operations_per_note() -> float:
    """Floating-point operations of a training step per note: 6 per weight of every Linear, and attention."""
    network = v3_network(0.0)
    weights = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.Linear))
    shape = network.config
    return 6.0 * weights + 12.0 * shape.n_layers * shape.d_model * NOTES


def matrix_rate(device: torch.device, precision: str) -> float:
    """FLOP/s of multiplying matrices of the network's widths."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    rows, width = (8192, 1024) if device.type == "cpu" else (65536, 4096)
    one = torch.ones(rows, width, dtype=dtype, device=device)
    other = torch.ones(width, width, dtype=dtype, device=device)
    best = 0.0
    for _ in range(8):
        synchronize(device)
        start = time.perf_counter()
        one @ other
        synchronize(device)
        best = max(best, 2.0 * rows * width * width / (time.perf_counter() - start))
    return best


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def v3_network(dropout: float) -> PhraseTransformer:
    """The network of v3 with random weights."""
    torch.manual_seed(0)
    network = PhraseTransformer(ModelConfig(feature_names=feature_names()))
    network.set_dropout(dropout)
    return network.train()


def synthetic_data(phrases: int, seed: int = 0) -> PhraseData:
    """Parts of so many phrases in all, of random notes on a grid."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(-(-phrases // PART_PHRASES)):
        notes = NOTES * min(PART_PHRASES, phrases - number * PART_PHRASES)
        onset = np.cumsum(rng.integers(0, 3, notes)) * (TICKS_PER_BEAT // 4)
        columns = {
            "onset": onset, "duration": rng.integers(60, 960, notes), "pitch": rng.integers(40, 80, notes),
            "velocity": rng.integers(20, 120, notes), "program": np.full(notes, 25),
            "tempo": np.full(notes, 120 / TEMPO_UNIT), "beat_in_bar": np.mod(onset, 4 * TICKS_PER_BEAT),
            "bar_beats": np.full(notes, 4 * TICKS_PER_BEAT), "wanted": np.ones(notes), "released": np.ones(notes),
        }
        row = PartRow("synthetic", str(number), "", "guitar", "train", 0, 0, True, True, 70.0, 20.0)
        parts.append(StoredPart(row, columns))
    return PhraseData.of_parts(parts, "synthetic notes")


def some_batch(device: torch.device, size: int) -> Batch:
    """One batch of phrases of 128 notes."""
    data = synthetic_data(size)
    rows = [[k * NOTES, (k + 1) * NOTES, k // PART_PHRASES, 0] for k in range(size)]
    return data.batch(np.array(rows), data.parts, seed=0, epoch=0, width=NOTES).to(device)


def plain_loop(device: torch.device) -> Callable[[], int]:
    """What one would write first: float32, batches of 16, dropout, AdamW one parameter after another."""
    network, batch = v3_network(V3.dropout).to(device), some_batch(device, V3.batch_size)
    edges = torch.tensor(DURATION_EDGES, device=device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=V3.lr, foreach=False)

    def step() -> int:
        out: PhraseOutput = network(batch.pitch, batch.program, batch.features, batch.mask)
        loss = loss_terms(out, batch, V3, edges)["total"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), V3.clip)
        optimizer.step()
        return batch.mask.numel()

    return step


def our_loop(device: torch.device, config: TrainConfig) -> Callable[[], int]:
    """The library's step."""
    network, batch = v3_network(config.dropout).to(device), some_batch(device, config.batch_size)
    edges = torch.tensor(DURATION_EDGES, device=device)
    step = Stepper(network, config, edges, device=device, precision=choose_precision(config.precision, device))

    def take() -> int:
        step(batch, config.lr)
        return batch.mask.numel()

    return take


def print_loops(device: torch.device, seconds: float, batch_size: int, per_note: float, rate: float) -> None:
    """Notes/s of the plain loop and of ours, taking turns."""
    ours = replace(V3, batch_size=batch_size, dropout=0.0, compile=True)
    loops = {
        f"plain: float32, batch {V3.batch_size}": plain_loop(device),
        f"v3 as scheduled, batch {V3.batch_size}": our_loop(device, replace(V3, compile=True)),
        f"recommended, batch {batch_size}": our_loop(device, ours),
    }
    for step in loops.values():
        for _ in range(3):
            step()
    synchronize(device)
    notes, spent = dict.fromkeys(loops, 0), dict.fromkeys(loops, 0.0)
    turn = seconds / 10
    while min(spent.values()) < seconds:
        for name, step in loops.items():
            start = time.perf_counter()
            while time.perf_counter() - start < turn:
                notes[name] += step()
            synchronize(device)
            spent[name] += time.perf_counter() - start
    print("| loop | notes/s | times plain | share of the matrix rate |\n|---|---|---|---|")
    speeds = {name: notes[name] / spent[name] for name in loops}
    first = next(iter(speeds.values()))
    for name, speed in speeds.items():
        print(f"| {name} | {speed:,.0f} | {speed / first:.2f} | {speed * per_note / rate:.0%} |")
    print()


def print_schedule(device: torch.device, precision: str, per_note: float, rate: float) -> None:
    """The v3 base schedule over the synthetic set, encoded once beforehand, without validation."""
    print("| v3 schedule | steps | seconds | notes/s | MFU | training loss at the end |\n|---|---|---|---|---|---|")
    data = synthetic_data(PHRASES)
    for batch_size in (V3.batch_size, 256):
        config = replace(V3, batch_size=batch_size, versions=1, compile=True)
        feed = Feed(data, data.parts, config, max_len=NOTES, device=device, jobs=8)
        network = v3_network(config.dropout).to(device)
        edges = torch.tensor(DURATION_EDGES, device=device)
        step = Stepper(network, config, edges, device=device, precision=precision)
        plan = feed.plan(0)
        for batch in list(feed.batches(replace(plan, batches=plan.batches[:8]), 0, 0)):
            step(batch, 0.0)  # encodes the data and compiles
        synchronize(device)
        start, done, total, notes = time.perf_counter(), 0, EPOCHS * len(plan), 0
        for epoch in range(EPOCHS):
            plan = feed.plan(epoch)
            step.totals.zero_()
            for batch in feed.batches(plan, epoch, 0):
                step(batch, learning_rate(config, done, total))
                done += 1
            notes += sum(plan.notes(number) for number in range(len(plan)))
        loss = step.read_totals()["total"] / len(plan)
        seconds = time.perf_counter() - start
        speed, share = notes / seconds, notes / seconds * per_note / rate
        print(f"| batch {batch_size} | {done:,} | {seconds:.1f} | {speed:,.0f} | {share:.0%} | {loss:.4f} |")


if __name__ == "__main__":
    run(main)
