"""``python -m duvhuman.train trees``: the trees that are heard beside the networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from duvhuman.train.commands.common import add_data_option, command_parser, open_data

EPILOG = """\
examples
  python -m duvhuman.train trees --passes lakh=1,pop909=0.5,giantmidi=0.12
  cp runs/trees/trees.safetensors runs/guitar         # what runs/guitar hears from now on instead of the package's
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and grow trees; any DuvhumanError if that fails."""
    from duvhuman.errors import OptionError
    from duvhuman.train.config import Growth, packs_named

    usual = Growth()
    parser = command_parser(
        "trees",
        "Grow boosted trees on the training parts of all instruments, with LightGBM. They tell how much "
        "louder than the rest of its part a note is, beside what a model's network expects.",
        EPILOG,
    )
    add_data_option(parser, default=["prepared"])
    parser.add_argument("--out", default="runs/trees", metavar="DIR", type=Path, help="where to (runs/trees)")
    parser.add_argument("--passes", default="", metavar="PACK=SHARE,...", help="the share of each pack's parts (all)")
    parser.add_argument("--sets", type=int, default=usual.sets, help=f"the mean of how many sets ({usual.sets})")
    parser.add_argument("--trees", type=int, default=usual.trees, help=f"how many in a set ({usual.trees})")
    parser.add_argument("--seed", type=int, default=usual.seed, help=f"of all draws ({usual.seed})")
    args = parser.parse_args(arguments)
    from duvhuman.train.trees import grow

    passes = packs_named(args.passes)
    if passes is None or not all(0 <= share <= 1 for share in passes.values()):
        raise OptionError(f"--passes must look like 'lakh=1,giantmidi=0.1', shares from 0 to 1, not {args.passes!r}")
    for name, value, least in (("--sets", args.sets, 1), ("--trees", args.trees, 1), ("--seed", args.seed, 0)):
        if value < least:
            parser.error(f"{name} must be {least} or more, not {value}")
    growth = replace(usual, sets=args.sets, trees=args.trees, seed=args.seed)
    path = grow(open_data(args.data, print), passes, growth, args.out, print)
    print(f"{path} holds the trees; a model hears them that has them in its folder")
