"""One step of optimisation, alone and on several ranks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny_network, weights

from duvhuman.errors import OptionError
from duvhuman.models.config import DURATION_EDGES
from duvhuman.train.config import TERMS, TrainConfig
from duvhuman.train.dataset import PhraseData
from duvhuman.train.pairs.encode import Batch
from duvhuman.train.run.losses import loss_terms
from duvhuman.train.run.step import Stepper, choose_precision, is_out_of_memory, speaking_of_memory

CPU = torch.device("cpu")
EDGES = torch.tensor(DURATION_EDGES)
CONFIG = TrainConfig(batch_size=4, dropout=0.0, weight_decay=0.0, lr=1e-3)
PHRASES = [[0, 128, 0, 0], [240, 300, 1, 0], [480, 600, 2, 0], [720, 752, 3, 0]]


def batch_of(data: PhraseData, rows: slice = slice(None)) -> Batch:
    import numpy as np

    return data.batch(np.array(PHRASES[rows]), data.parts, seed=0, epoch=0, width=128)


def stepper(network: torch.nn.Module, **given: Any) -> Stepper:
    return Stepper(network, given.pop("config", CONFIG), EDGES, device=CPU, precision="float32", **given)


def test_totals_are_the_sums_of_the_steps_terms(data: PhraseData) -> None:
    network, batch = tiny_network(), batch_of(data)
    with torch.no_grad():
        out = network(batch.pitch, batch.program, batch.features, batch.mask)
        expected = loss_terms(out, batch, CONFIG, EDGES)
    step = stepper(network)
    step.gradients(batch)
    step.gradients(batch)
    totals = step.read_totals()
    assert list(totals) == list(TERMS)
    for name, value in totals.items():
        assert value == pytest.approx(2 * expected[name].item(), rel=1e-5), name


def test_only_matrices_decay(data: PhraseData) -> None:
    network = tiny_network(std=0.5)
    groups = stepper(network, config=replace(CONFIG, weight_decay=0.3)).optimizer.param_groups
    assert {p.ndim for p in groups[0]["params"]} == {2}
    assert {p.ndim for p in groups[1]["params"]} == {1}
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]


def test_a_step_moves_the_weights_against_the_loss_and_forgets_the_gradients(data: PhraseData) -> None:
    network, batch = tiny_network(), batch_of(data)
    step = stepper(network)
    before = weights(network)
    for _ in range(20):
        step(batch, 1e-2)
    assert not any(torch.equal(value, before[name]) for name, value in weights(network).items() if "head" in name)
    first = step.read_totals()["total"]
    step.totals.zero_()
    step.gradients(batch)
    assert step.read_totals()["total"] < 0.9 * first / 20
    step(batch, 0.0)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(("clip", "clipped"), [(1e-3, True), (0.0, False)])
def test_gradients_are_clipped_unless_that_is_not_wished(clip: float, clipped: bool, data: PhraseData) -> None:
    network = tiny_network()
    step = stepper(network, config=replace(CONFIG, clip=clip))
    norms: list[float] = []
    real = step.optimizer.step

    def spy(*given: Any) -> Any:
        norms.append(torch.cat([p.grad.flatten() for p in step.trained if p.grad is not None]).norm().item())
        return real(*given)

    step.optimizer.step = spy  # type: ignore[method-assign]
    step(batch_of(data), 1e-3)
    assert norms == [pytest.approx(1e-3, rel=1e-2)] if clipped else norms[0] > 0.1


def test_frozen_parameters_are_left_alone(data: PhraseData) -> None:
    network = tiny_network()
    for parameter in network.blocks.parameters():
        parameter.requires_grad_(False)
    before = weights(network)
    step = stepper(network)
    step(batch_of(data), 1e-2)
    after = weights(network)
    assert all(torch.equal(after[name], value) for name, value in before.items() if name.startswith("blocks."))
    assert not torch.equal(after["velocity_head.weight"], before["velocity_head.weight"])


# Several ranks.

RANK = """
import sys
import torch
from pathlib import Path
sys.path[:0] = sys.argv[1], str(Path(sys.argv[1]).parent)  # test_step.py and toys.py
from test_step import CONFIG, EDGES, PHRASES
from toys import tiny_network
import numpy as np
from duvhuman.train.dataset import PhraseData
from duvhuman.train.run.distributed import joined_world
from duvhuman.train.run.step import Stepper

torch.set_num_threads(1)
with joined_world(torch.device("cpu")) as (world, device):
    data = PhraseData(sys.argv[2])
    network = tiny_network(std=0.2)
    step = Stepper(network, CONFIG, EDGES, device=device, precision="float32", world=world)
    rows = np.array(PHRASES)[world.rank :: world.size]
    step.gradients(data.batch(rows, data.parts, seed=0, epoch=0, width=128))
    totals = step.read_totals()
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    torch.save({"gradients": gradients, "totals": totals}, Path(sys.argv[3]) / f"{world.rank}.pt")
"""


def test_two_ranks_make_the_gradients_of_one_process_on_the_same_batch(data: PhraseData, tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script),
         str(Path(__file__).parent), data.name, str(tmp_path)],
        check=False, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    alone = tiny_network(std=0.2)
    step = stepper(alone)
    step.gradients(batch_of(data))
    for rank in range(2):
        told = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(told["gradients"][name], parameter.grad, atol=1e-6, rtol=1e-4)
        assert told["totals"] == pytest.approx(step.read_totals(), rel=1e-5)


# Out of memory.


def out_of_memory(largest: int) -> Callable[[int], bool]:
    return lambda size: size <= largest


@pytest.mark.parametrize(("largest", "named"), [(63, 32), (64, 64), (100, 64), (1, 1)])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_names_the_batch_size_that_would_fit(largest: int, named: int, error: Exception) -> None:
    expected = f"batch_size 128 does not fit into memory; {named} would: --set batch_size={named}"
    with (
        pytest.raises(OptionError, match=expected),
        speaking_of_memory(replace(CONFIG, batch_size=128), out_of_memory(largest)),
    ):
        raise error


def test_where_not_even_one_phrase_fits_this_is_said() -> None:
    with pytest.raises(OptionError, match="neither would 1"), speaking_of_memory(CONFIG, out_of_memory(0)):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_what_fits_and_other_errors_pass() -> None:
    with speaking_of_memory(CONFIG, out_of_memory(0)):
        pass
    with pytest.raises(RuntimeError, match="a bug"), speaking_of_memory(CONFIG, out_of_memory(1)):
        raise RuntimeError("a bug")
    assert not is_out_of_memory(RuntimeError("a bug"))


def test_precision_is_what_was_asked_for() -> None:
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("float32", torch.device("cuda")) == "float32"
    assert choose_precision("auto", torch.device("cuda")) == "bf16"
    assert choose_precision("auto", CPU) in ("bf16", "float32")


def test_bf16_on_a_cpu_leaves_the_settings_of_attention_as_they_were(data: PhraseData) -> None:
    def settings() -> list[bool]:
        cuda = torch.backends.cuda
        return [cuda.flash_sdp_enabled(), cuda.math_sdp_enabled(), cuda.mem_efficient_sdp_enabled(),
                cuda.fp16_bf16_reduction_math_sdp_allowed()]

    before = settings()
    step = Stepper(tiny_network(std=0.2), CONFIG, EDGES, device=CPU, precision="bf16")
    step(batch_of(data), 1e-3)
    assert settings() == before
    exact = stepper(tiny_network(std=0.2))
    exact(batch_of(data), 1e-3)
    assert step.read_totals() == pytest.approx(exact.read_totals(), rel=2e-2)
