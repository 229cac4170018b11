"""The network that hears a band: whatever the order and number of its parts, and however its weights are stored."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from duvhuman.errors import ModelError
from duvhuman.humanize.company import COLUMNS
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.company import COMPANY_FILE, CompanyNetwork, load_company, save_company


@pytest.fixture
def network() -> CompanyNetwork:
    torch.manual_seed(0)
    network = CompanyNetwork(len(COLUMNS))
    torch.nn.init.normal_(network.together[-1].weight)
    return network.eval()


HEARD = torch.randn(32, 5, len(COLUMNS), generator=torch.Generator().manual_seed(1))


def test_it_says_nothing_before_it_is_trained() -> None:
    assert not CompanyNetwork(len(COLUMNS))(HEARD, "bass").any()


def test_the_order_of_the_parts_does_not_matter(network: CompanyNetwork) -> None:
    turned = network(HEARD.flip(1), "bass")
    torch.testing.assert_close(network(HEARD, "bass"), turned)
    assert turned.std() > 0.01


def test_parts_that_are_not_present_are_as_if_they_were_not_there(network: CompanyNetwork) -> None:
    present = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(network(HEARD, "keys", present), network(HEARD[:, present.bool()], "keys"))


def test_each_instrument_follows_in_its_own_way(network: CompanyNetwork) -> None:
    said = [network(HEARD, instrument) for instrument in INSTRUMENTS]
    assert all(not torch.allclose(said[0], other) for other in said[1:])


def test_weights_come_back_in_half_precision(network: CompanyNetwork, tmp_path: Path) -> None:
    save_company(network, tmp_path / "new", {})
    torch.testing.assert_close(
        load_company(tmp_path / "new")(HEARD, "bass"), network(HEARD, "bass"), atol=0.02, rtol=0.02
    )
    before = torch.get_rng_state()
    load_company.__wrapped__(tmp_path / "new")
    assert torch.equal(torch.get_rng_state(), before)
    assert (tmp_path / "new" / COMPANY_FILE).stat().st_size < 50_000


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_that_cannot_be_read_are_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / COMPANY_FILE).write_bytes(content)
    with pytest.raises(ModelError, match=f"{COMPANY_FILE}.*install duvhuman anew"):
        load_company(tmp_path)
