"""The network that tells by how much a note of a flat part is louder for what the other parts of its file do around it.

It looks at each other part for itself, with one set of weights, and at what these come to together: in whatever order
they are given, and however many there are (Zaheer et al. 2017, "Deep Sets"), with a weight for how much each is heeded.

Conventions
-----------
N notes of one part, K other parts, C columns that describe one of these at one note.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from duvhuman.errors import ModelError
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.files import read_tensors, write_tensors
from duvhuman.models.first_weights import FirstWeights

COMPANY_FOLDER = Path(__file__).parent / "weights" / "company"
COMPANY_FILE = "company.safetensors"
WIDTH = 64
NOBODY = 0.3
"""How much silence is heeded, beside parts of up to 1 each."""
USUAL_PARTS = 3.0
"""What so many parts come to together is about as large as what one of them says."""
SDS_PER_UNIT = 3.0
"""The last layer's 1 is so many SDs."""


class CompanyNetwork(nn.Module):
    """The network, which says nothing (0) until it is trained.

    Parameters
    ----------
    columns : C.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        instruments = len(INSTRUMENTS)
        self.other = nn.Sequential(
            nn.Linear(columns + instruments, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU()
        )
        self.heed = nn.Linear(WIDTH, 1)
        last = nn.Linear(WIDTH, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.together = nn.Sequential(nn.Linear(2 * WIDTH + instruments, WIDTH), nn.GELU(), last)

    def forward(self, heard: Tensor, instrument: str, present: Tensor | None = None) -> Tensor:
        """(N,) by how many SDs of a part each of its notes is louder.

        Parameters
        ----------
        heard : (N, K, C) float32.
        instrument : what the part is played on.
        present : (K,) float, 0 for parts that are not to be heard; None: all are.
        """
        plays = heard.new_tensor([float(name == instrument) for name in INSTRUMENTS])
        others = self.other(torch.cat([heard, plays.expand(*heard.shape[:2], -1)], dim=2))
        heeded = torch.sigmoid(self.heed(others))  # (N, K, 1)
        if present is not None:
            heeded = heeded * present[:, None]
        total = (heeded * others).sum(dim=1)
        mean = total / (heeded.sum(dim=1) + NOBODY)
        said = torch.cat([mean, total / USUAL_PARTS, plays.expand(len(heard), -1)], dim=1)
        return SDS_PER_UNIT * self.together(said)[:, 0]


@lru_cache(maxsize=1)
def load_company(folder: Path = COMPANY_FOLDER) -> CompanyNetwork:
    """The network whose weights lie in `folder`; ModelError if these cannot be read."""
    weights = read_tensors(folder / COMPANY_FILE, "install duvhuman anew")
    try:
        with FirstWeights():
            network = CompanyNetwork(weights["other.0.weight"].shape[1] - len(INSTRUMENTS))
        network.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{folder / COMPANY_FILE}: cannot be used ({error}); install duvhuman anew") from None
    return network.eval()


def save_company(network: CompanyNetwork, folder: Path, training: Mapping[str, Any]) -> Path:
    """Write the weights of a network, in float16, to a folder that is made if need be; the file.

    Parameters
    ----------
    training : what stands in the file's metadata of how it was trained.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half() for name, value in network.state_dict().items()}
    write_tensors(folder / COMPANY_FILE, weights, {"training": json.dumps(training)})
    return folder / COMPANY_FILE
