"""``python -m duvhuman.train calibrate``: measure anew how far a model stretches what it expects."""

from __future__ import annotations

from pathlib import Path

from duvhuman.instruments import get_instrument
from duvhuman.train.commands.common import add_data_option, choose_device, command_parser, open_data

EPILOG = """\
examples
  cp runs/trees/trees.safetensors runs/guitar         # other trees to hear, which want other gains
  python -m duvhuman.train calibrate guitar --model runs/guitar
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and measure; any DuvhumanError if that fails."""
    parser = command_parser(
        "calibrate",
        "Measure on training parts how far the velocities that a model and its adapter expect, with the "
        "trees that are heard beside them, have to be stretched to be as lively as players, and write that into their "
        "configuration, with all else that decoding does for the instrument. Training does so itself: this is for a "
        "model whose trees are others.",
        EPILOG,
    )
    parser.add_argument("instrument", help="guitar, bass, keys or strings")
    parser.add_argument("--model", required=True, metavar="DIR", type=Path, help="the folder of the model to change")
    add_data_option(parser, default=["prepared"])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:0 (default: auto)")
    args = parser.parse_args(arguments)
    instrument = get_instrument(args.instrument).name
    from duvhuman.errors import DataError, ModelError
    from duvhuman.humanize.networks import check_fits
    from duvhuman.models.files import ADAPTER_FOLDER, MEMORY_FILE
    from duvhuman.models.phrase_transformer import read_config
    from duvhuman.train.calibrate import GAINS, calibrate_adapter, calibrate_base

    adapter = args.model / ADAPTER_FOLDER
    has_adapter = adapter.is_dir()
    check_fits(args.model, adapter if has_adapter else None, instrument)
    if (meant := read_config(args.model).instrument) != instrument:
        raise ModelError(f"{args.model}: its config.json says {meant!r}, not {instrument!r}; only bases are calibrated")
    if (adapter / MEMORY_FILE).exists():
        raise ModelError(f"{adapter}: is a personal adapter, whose gains are its player's; move it away")
    device, data = choose_device(args.device), open_data(args.data, print)
    if not data.select(split="train", instrument=instrument):
        raise DataError(f"{data.name}: no training parts for {instrument}; prepare more data")
    config = calibrate_base(args.model, data, instrument, device)
    print(f"{args.model}: " + ", ".join(f"{name} {getattr(config, name)}" for name in GAINS), flush=True)
    if has_adapter:
        config = calibrate_adapter(args.model, data, instrument, device)
        print(f"{adapter}: " + ", ".join(f"{name} {getattr(config, name)}" for name in GAINS))
