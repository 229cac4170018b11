"""``python -m duvhuman.train company``: how flat parts follow the other parts of their files."""

from __future__ import annotations

from pathlib import Path

from duvhuman.train.commands.common import command_parser

EPILOG = """\
examples
  python -m duvhuman.train company ~/midi/lakh --teachers small/*/trunk --out duvhuman/models/weights/company
"""


def run(arguments: list[str]) -> None:
    """Parse the arguments and train; any DuvhumanError if that fails."""
    parser = command_parser(
        "company",
        "Train the network that tells by how much a note of a flat part is louder for what the other parts "
        "of its file do, on training songs that the networks which are asked of the part alone do not know.",
        EPILOG,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the MIDI files of a pack that prepare read")
    parser.add_argument("--data", default="prepared", metavar="DIR", help="what prepare wrote (default: prepared)")
    parser.add_argument(
        "--teachers", nargs="+", required=True, metavar="DIR", type=Path,
        help="trunks, each of which was trained without a fold of the songs (--set trunk.fold=1/5)",
    )
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="a folder for company.safetensors")
    args = parser.parse_args(arguments)
    from duvhuman.train.company.fit import train_company
    from duvhuman.train.dataset import PhraseData

    path = train_company(PhraseData(args.data), args.folder, args.teachers, args.out, print)
    print(f"written to {path}")
