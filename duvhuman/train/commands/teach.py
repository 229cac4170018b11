"""``python -m duvhuman.train teach``: trees say of every note what they expect, for a network to learn."""

from __future__ import annotations

import argparse

EPILOG = """\
examples
  python -m duvhuman.train teach                                      # every pack in the folder "prepared"
  python -m duvhuman.train teach --data prepared --packs lakh pop909  # the others' notes have no teacher
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and teach; any DuvhumanError if that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train teach",
        description="Grow trees on the training parts of a data set and store beside each note what trees that were "
        "grown on other songs expect of it. Stages with a teacher_weight learn from that.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what `prepare` wrote (default: prepared)")
    parser.add_argument("--packs", nargs="+", metavar="PACK", help="the packs to teach (default: all)")
    args = parser.parse_args(arguments)
    from duvhuman.train.dataset import PhraseData
    from duvhuman.train.teacher import teach

    data = PhraseData(args.data)
    packs = args.packs or sorted({part.pack for part in data.parts})
    results = teach(data, packs, log=lambda line: print(line, flush=True))
    print(f"{'':18} parts  velocity r")
    for row in results:
        name = f"{row.pack} {row.instrument}"
        print(f"{name:18} {row.parts:5}  {row.velocity_r:10.3f}")
    print(f"{args.data}: what trees that were grown on other songs expect stands beside the notes")
