"""``python -m duvhuman.train average``: the mean of several models, to train from."""

from __future__ import annotations

import shlex
from pathlib import Path

from duvhuman.train.commands.common import command_parser

EPILOG = """\
examples
  python -m duvhuman.train average runs/one/trunk runs/two/trunk --out runs/mean
  python -m duvhuman.train guitar --init-from runs/mean               # a base and its adapter from the mean
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and average; any DuvhumanError if that fails."""
    parser = command_parser(
        "average",
        "Write the mean of the weights of several models, all trained from a common beginning, as a trunk "
        "to train from. Adapters have no part in it.",
        EPILOG,
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", type=Path, help="folders of bases or trunks, two or more")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="a folder that holds no model yet")
    args = parser.parse_args(arguments)
    from duvhuman.train.average import average

    average(args.models, args.out)
    typed = shlex.quote(str(args.out))
    print(f"{args.out} holds the mean of {len(args.models)} models; train from it with --init-from {typed}")
