"""``python -m duvhuman.train notate``: recordings without a beat are written down, in a tempo and a metre."""

from __future__ import annotations

import os

from duvhuman.errors import OptionError
from duvhuman.train.commands.common import command_parser

EPILOG = """\
examples
  python -m duvhuman.train notate                                   # every pack in the folder "prepared"
  python -m duvhuman.train notate --data prepared --packs giantmidi
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and write down; any DuvhumanError if that fails."""
    parser = command_parser(
        "notate",
        "Find tempo, metre and the place of every note in its bar for parts that have no beat, and store "
        "them beside the notes. Training then sees these parts as scores, too, which is what users give.",
        EPILOG,
    )
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what `prepare` wrote (default: prepared)")
    parser.add_argument("--packs", nargs="+", metavar="PACK", help="the packs to write down (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: cores)")
    args = parser.parse_args(arguments)
    if args.jobs < 1:
        raise OptionError(f"--jobs must be at least 1, not {args.jobs}")
    from duvhuman.train.dataset import PhraseData
    from duvhuman.train.notate import notate

    data = PhraseData(args.data)
    packs = args.packs or sorted({part.pack for part in data.parts})
    results = notate(data, packs, jobs=args.jobs, log=lambda line: print(line, flush=True))
    print(f"{'':18}{''.join(f'{metre:>5}' for metre in results[0].parts)}")
    for row in results:
        print(f"{row.pack + ' ' + row.instrument:18}{''.join(f'{count:5}' for count in row.parts.values())}")
    print(f"{args.data}: where each note stands in its bar stands beside the notes")
