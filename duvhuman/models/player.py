"""A model as it plays: its network, with an adapter merged in and, if the model has one, a second network beside it.

A second, smaller network that was trained by itself errs otherwise: what the two expect of a note's velocity,
averaged, is nearer to players than what either does (an ensemble; Hansen and Salamon 1990, "Neural Network Ensembles").
Lengths are the first one's. A personal adapter's memory corrects what both say.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from torch import Tensor, nn

from duvhuman.errors import ModelError, warn
from duvhuman.models.files import SECOND_FOLDER, weights_digest
from duvhuman.models.lora import merge_adapter
from duvhuman.models.personal import read_personal
from duvhuman.models.phrase_transformer import PhraseOutput, PhraseTransformer


def read_player(folder: str | PathLike[str], adapter: str | PathLike[str] | None = None) -> PhraseTransformer:
    """The network in `folder` as it plays, in float32 and in ``eval()`` mode; not one to be trained or saved.

    Parameters
    ----------
    adapter : the folder of an adapter to merge into it, or None.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or if the adapter or the second network does not fit.
    """
    network = PhraseTransformer.from_pretrained(folder)
    hear_second(network, folder)  # before a memory is attached, which corrects what is heard
    if adapter is not None:
        merge_adapter(network, adapter)
        meant = read_personal(adapter).get("base")
        if meant is not None and meant != weights_digest(Path(folder)):
            warn(f"{adapter}: was fitted to other weights than those in {folder}; fit it anew for these")
    return network


def hear_second(network: PhraseTransformer, folder: str | PathLike[str]) -> None:
    """Let the network of the model in `folder` listen to the second one, if there is one; raises as `read_player`."""
    if network.config.second_share > 0:
        listen_to(network, PhraseTransformer.from_pretrained(Path(folder) / SECOND_FOLDER))


def listen_to(network: PhraseTransformer, second: PhraseTransformer) -> None:
    """From now on a share, ``config.second_share``, of the velocity bins that `network` gives is what `second` gives,
    which is not trained with it.

    Raises
    ------
    ModelError
        If the second network knows other features, or shorter phrases.
    """
    if second.config.feature_names != network.config.feature_names or second.config.max_len < network.config.max_len:
        raise ModelError("the model's second network was made for other features or shorter phrases; train it anew")
    share = network.config.second_share

    def averaged(network: nn.Module, arguments: tuple[Tensor, ...], out: PhraseOutput) -> PhraseOutput:
        other: PhraseOutput = network.get_submodule(SECOND_FOLDER)(*arguments)
        bins = (1 - share) * out.velocity_logits.float().softmax(-1) + share * other.velocity_logits.float().softmax(-1)
        return out._replace(velocity_logits=bins.clamp(min=1e-12).log())

    network.add_module(SECOND_FOLDER, second.requires_grad_(False))  # a module, so that it moves to another device, too
    network.register_forward_hook(averaged)
