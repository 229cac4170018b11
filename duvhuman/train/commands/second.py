"""``python -m duvhuman.train second``: a second network beside a model's own."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = """\
example
  python -m duvhuman.train second runs/strings --network small/trunk --share 0.4
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and add the network; any DuvhumanError if that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train second",
        description="Let a model average the velocities it expects with those that a second, smaller network expects, "
        "which was trained by itself. It is copied into the model's folder; lengths stay the model's own.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("model", metavar="MODEL", type=Path, help="the folder of a base")
    parser.add_argument("--network", required=True, metavar="DIR", type=Path, help="the folder of a trunk or base")
    parser.add_argument("--share", type=float, default=0.4, help="how much of the velocities it says, to 1 (0.4)")
    args = parser.parse_args(arguments)
    from duvhuman.train.second import add_second

    add_second(args.model, args.network, args.share)
    print(f"{args.model} hears a second network for {args.share:g} of the velocities")
