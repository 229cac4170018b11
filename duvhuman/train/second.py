"""Give a model a second, smaller network, which errs otherwise; `duvhuman.models.player` tells what it is heard for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from duvhuman.errors import FileError, ModelError, OptionError
from duvhuman.files import written_whole
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.files import CONFIG_FILE, SECOND_FOLDER
from duvhuman.models.phrase_transformer import PhraseTransformer, read_config, write_config
from duvhuman.models.player import listen_to
from duvhuman.train.record import SECOND, earlier_stages, read_record, write_record


def add_second(folder: Path, network: Path, share: float) -> None:
    """Copy the network in `network` beside the base in `folder`, in place of one that is there.

    The base's files and gains stay as they are, but for ``second_share`` in its configuration.

    Parameters
    ----------
    share : how much of the expected velocities it says, above 0, to 1.

    Raises
    ------
    FileError
        If the model cannot be written.
    ModelError
        If a model cannot be read, or they do not fit each other.
    OptionError
        If `share` is none.
    """
    if not 0 < share <= 1:
        raise OptionError(f"the share must be above 0 and 1 at most, not {share:g}")
    base, second = PhraseTransformer.from_pretrained(folder), PhraseTransformer.from_pretrained(network)
    if (plays := second.config.instrument) != base.config.instrument and plays in INSTRUMENTS:
        raise ModelError(f"{network}: is a model for {plays}, not for {base.config.instrument}")
    try:
        listen_to(base, second)
        history = read_record(network)
        second.save_pretrained(folder / SECOND_FOLDER)
        write_record(folder / SECOND_FOLDER, history)
        write_record(folder, read_record(folder) | {SECOND: earlier_stages(folder / SECOND_FOLDER)})
        with written_whole(folder / CONFIG_FILE) as unfinished:
            write_config(replace(read_config(folder), second_share=share), unfinished)
    except OSError as error:
        raise FileError(f"{folder}: cannot be written ({error.strerror}); name a model that can be") from None
