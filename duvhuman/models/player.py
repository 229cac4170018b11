"""A model as it plays: its network with an adapter merged in, and the trees beside it.

A personal adapter's memory corrects what both say.
"""

from __future__ import annotations

from pathlib import Path

from duvhuman.errors import warn
from duvhuman.models.files import weights_digest
from duvhuman.models.lora import merge_adapter
from duvhuman.models.personal import read_personal
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.trees import hear_trees


def read_player(folder: Path, adapter: Path | None = None) -> PhraseTransformer:
    """The network in `folder` as it plays, in float32 and in ``eval()`` mode; not one to be trained or saved.

    Parameters
    ----------
    adapter : the folder of an adapter to merge into it, or None.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or if the adapter or the trees do not fit.
    """
    network = PhraseTransformer.from_pretrained(folder)
    hear_trees(network, folder)  # before a memory is attached, which corrects what is heard
    if adapter is not None:
        merge_adapter(network, adapter)
        meant = read_personal(adapter).get("base")
        if meant is not None and meant != weights_digest(folder):
            warn(f"{adapter}: was fitted to other weights than those in {folder}; fit it anew for these")
    return network
