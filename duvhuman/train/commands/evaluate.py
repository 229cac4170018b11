"""``python -m duvhuman.train evaluate``: a model's validation figures beside the floors'."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from duvhuman.errors import FileError
from duvhuman.instruments import INSTRUMENTS, get_instrument

ALL = "all"


def run(arguments: list[str]) -> None:
    """Parse the arguments and print the table; OptionError, DataError, ModelError or FileError if that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m duvhuman.train evaluate",
        description="Play the flattened validation parts and compare with the players, beside flat, jitter and the "
        "ridge floor.",
        allow_abbrev=False,
    )
    parser.add_argument("instruments", nargs="+", help=f"{', '.join(INSTRUMENTS)}, or {ALL}")
    parser.add_argument(
        "--data", nargs="+", default=["prepared"], metavar="DIR|CSV",
        help="what `prepare` wrote, or phrase CSV files (default: prepared)",
    )  # fmt: skip
    parser.add_argument("--model", metavar="DIR", help="a model, or a folder of models (default: the bundled ones)")
    parser.add_argument("--max-parts", type=int, default=60, help="at most so many parts of each pack (60)")
    parser.add_argument("--report", metavar="FILE", help="write the numbers here as JSON")
    parser.add_argument("--cards", action="store_true", help="rewrite the model card beside each model")
    args = parser.parse_args(arguments)
    names = list(INSTRUMENTS) if args.instruments == [ALL] else [get_instrument(n).name for n in args.instruments]
    from duvhuman.models.lora import merge_adapter
    from duvhuman.models.phrase_transformer import PhraseTransformer
    from duvhuman.models.store import find_adapter, find_model
    from duvhuman.train.card import write_card
    from duvhuman.train.commands.common import open_data
    from duvhuman.train.evaluate import evaluate_instrument, format_report

    data = open_data(args.data, print)
    report = {}
    for name in names:
        folder = find_model(name, args.model)
        adapter = find_adapter(name, "default", folder)
        models = {"base": PhraseTransformer.from_pretrained(folder)}
        if adapter is not None:
            models["base and adapter"] = PhraseTransformer.from_pretrained(folder)
            merge_adapter(models["base and adapter"], adapter)
        report[name] = evaluate_instrument(data, name, models, max_parts=args.max_parts)
        if args.cards:
            write_card(folder, name, report[name])
    print(format_report(report))
    if args.report:
        try:
            Path(args.report).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise FileError(f"{args.report}: the report cannot be written there ({error}); name another file") from None
