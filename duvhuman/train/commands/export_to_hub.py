"""``python -m duvhuman.train export-to-hub REPO``: show what would be uploaded, or upload it."""

from __future__ import annotations

import shlex

from duvhuman.errors import OptionError
from duvhuman.files import user_path
from duvhuman.train.commands.common import command_parser

EPILOG = """\
examples
  python -m duvhuman.train export-to-hub org/duvhuman-guitar --model runs/guitar           # shows what would be done
  python -m duvhuman.train export-to-hub org/duvhuman-guitar --model runs/guitar --push    # does it
  python -m duvhuman.train export-to-hub org/duvhuman --model runs --revision v2 --push    # a model per instrument
  duvhuman humanize riff.mid -i guitar -o out.mid --model org/duvhuman@v2                  # anybody, afterwards
"""
LEFT_SHOWN = 5


def run(arguments: list[str]) -> None:
    """Parse the arguments and do it; OptionError, ModelError or FileError if that fails."""
    parser = command_parser(
        "export-to-hub",
        "Upload a model to the Hugging Face hub. Without --push nothing leaves this machine.",
        EPILOG,
    )
    parser.add_argument("repo", metavar="REPO", help="org/name; made if it is not there")
    parser.add_argument("--model", metavar="DIR", required=True, help="a model, or a folder with one per instrument")
    parser.add_argument("--instrument", metavar="NAME", help="the only one to upload (default: all in DIR)")
    parser.add_argument("--revision", metavar="BRANCH", help="made if it is not there (default: main)")
    parser.add_argument("--private", action="store_true", help="if the repository has to be made, make it private")
    parser.add_argument("--push", action="store_true", help="really upload")
    args = parser.parse_args(arguments)
    if args.revision is not None and (not args.revision.strip() or any(map(str.isspace, args.revision))):
        raise OptionError(f"--revision must be the name of a branch, not {args.revision!r}")
    from duvhuman.train.export_hub import MAIN, check_repo, plan_export, push

    repo, branch = check_repo(args.repo), args.revision or MAIN
    export = plan_export(user_path(args.model), args.instrument)
    print(f"{args.model} -> {repo}@{branch}")
    width = max(map(len, export.files))
    for path, size in export.files.items():
        print(f"  {path:{width}}  {size:>12,} bytes")
    print(f"{len(export.files)} files, {sum(export.files.values()) / 1e6:,.1f} MB")
    if export.left:
        more = f" and {len(export.left) - LEFT_SHOWN} more" if len(export.left) > LEFT_SHOWN else ""
        print(f"not uploaded: {', '.join(export.left[:LEFT_SHOWN])}{more}")
    if not args.push:
        print(f"nothing was uploaded; to do it:\n  {parser.prog} {shlex.join([*arguments, '--push'])}")
        return
    url = push(export, repo, revision=args.revision, private=args.private)
    print(f"uploaded to {url}")
    for instrument in export.models.values():
        print(f"  duvhuman humanize IN.mid -i {instrument} -o OUT.mid --model {repo}@{branch}")
