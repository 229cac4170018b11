"""The command line: ``duvhuman humanize``, ``predict`` and ``models``.

Conventions
-----------
Exit codes: 0 all done, 1 some file failed (the others are done), 2 usage (nothing was touched), 130 interrupted.
Results go to standard output; errors, warnings and the progress bar to standard error. Options that were not given
are not passed on: the defaults are the API's. Nothing heavy is imported until a command needs
it: ``--help`` and usage errors are immediate.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import traceback
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duvhuman import __version__
from duvhuman.cli_output import Outcome, ProgressBar, collected_warnings, format_table, say, summarize, told_warnings
from duvhuman.cli_paths import STREAM, Job, check_output, plan_jobs
from duvhuman.errors import DataError, DuvhumanError, FileError, MidiError, ModelError, OptionError
from duvhuman.files import write_whole
from duvhuman.instruments import AUTO, INSTRUMENTS, instrument_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duvhuman.humanize.api import Humanizer
    from duvhuman.humanize.report import Prediction
    from duvhuman.midi.interop import MidiFile

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

_LOAD_OPTIONS = ("adapter", "like", "model", "device")
_NOTE_COLUMNS = (
    "onset_ticks", "pitch", "velocity_bin", "duration_bin", "velocity", "duration_beats", "spread", "duration_ticks",
    "track", "channel",
)

_HUMANIZE_EXAMPLES = """\
examples:
  duvhuman humanize riff.mid -i guitar -o riff.human.mid
  duvhuman humanize songs/ -i auto -o played/ -r --seed 7
  duvhuman humanize riff.mid -i guitar --like my_take.mid -o riff.mine.mid
  cat riff.mid | duvhuman humanize - -i bass -o - > played.mid

Only note-on velocities and note-off times change (and the end of a track that its last note outlasts); everything else
in a file stays byte for byte.
exit codes: 0 all done, 1 some file failed (the others are done), 2 usage (nothing was touched), 130 interrupted
"""
_PREDICT_EXAMPLES = """\
examples:
  duvhuman predict riff.mid -i guitar > notes.csv
  duvhuman predict riff.mid -i guitar --json -o notes.json

One row per note of the played parts, in onset, then pitch order: bins 0-15, velocity 1-127, length in beats (quarter
notes), spread of the velocity, length in ticks, track and channel from 0.
"""
_MODELS_EXAMPLES = """\
examples:
  duvhuman models
  DUVHUMAN_MODELS=~/my-models duvhuman models --json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : the arguments without the program's name; by default those of this process.

    Raises
    ------
    SystemExit
        From argparse: code 0 after ``--help`` and ``--version``, code 2 for arguments that it cannot read.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as a daemon's may be: what would be printed there is lost
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the run
            stream.reconfigure(errors="backslashreplace")
    parser = _build_parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except OptionError as error:
        say("error", str(error))
        return USAGE
    except BrokenPipeError:  # the reader of our output has left, as in `duvhuman predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it shuts down
        return FAILED
    except (DuvhumanError, OSError) as error:
        say("error", str(error))
        return FAILED
    except KeyboardInterrupt:
        say("interrupted", "nothing was written.")
        return INTERRUPTED
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="duvhuman",
        description="Play flat MIDI parts as a person would: new velocities and note lengths, nothing else changes.",
        epilog="`duvhuman COMMAND --help` explains each command, with examples.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"duvhuman {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def add(name: str, summary: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        )

    humanize = add("humanize", "play flat MIDI files as a person would", _HUMANIZE_EXAMPLES)
    humanize.add_argument(
        "inputs", nargs="+", metavar="IN", help="a MIDI file, a folder of them, or - for standard input"
    )
    humanize.add_argument(
        "-o", "--output", required=True, metavar="OUT",
        help="a file; for several inputs a folder, made if missing; or - for standard output",
    )
    _add_play_options(humanize)
    humanize.add_argument("-r", "--recursive", action="store_true", help="take the folders below a folder, too")
    humanize.add_argument("--force", action="store_true", help="replace outputs that exist (never an input)")
    humanize.add_argument("--json", action="store_true", help="print one JSON object per file and line")
    humanize.add_argument("--quiet", action="store_true", help="print errors only")
    humanize.set_defaults(run=_humanize)

    predict = add("predict", "print what would be played, note by note", _PREDICT_EXAMPLES)
    predict.add_argument("input", metavar="IN", help="a MIDI file, or - for standard input")
    predict.add_argument("-o", "--output", default=STREAM, metavar="FILE", help="a file instead of standard output")
    _add_play_options(predict)
    predict.add_argument("--force", action="store_true", help="replace FILE if it exists")
    formats = predict.add_mutually_exclusive_group()
    formats.add_argument("--csv", action="store_false", dest="json", default=False, help="a row per note (the default)")
    formats.add_argument("--json", action="store_true", help="one JSON object with a list of notes")
    predict.set_defaults(run=_predict)

    models = add("models", "list the models found on this machine", _MODELS_EXAMPLES)
    models.add_argument("--json", action="store_true", help="print a JSON list")
    models.set_defaults(run=_models)
    return parser


def _add_play_options(parser: argparse.ArgumentParser) -> None:
    """The options that `humanize` and `predict` share; what is not given stays out of the namespace."""
    parser.add_argument(
        "-i", "--instrument", required=True,
        help=f"{', '.join(INSTRUMENTS)}, or {AUTO}: each part by its program and its track's name",
    )
    group = parser.add_argument_group("how it is played", argument_default=argparse.SUPPRESS)
    group.add_argument("--intensity", type=float, metavar="X", help="0 (as written) to 1 (as predicted, the default)")
    group.add_argument("--variation", type=float, metavar="X", help="0 (the performance expected) to 1 (sampled)")
    group.add_argument("--seed", type=int, metavar="N", help="the same input and seed give the same bytes")
    group.add_argument(
        "--dynamics", metavar="keep|replace",
        help="keep (default): keep dynamics and accents already written; replace: set them aside",
    )
    group.add_argument("--no-velocity", dest="velocity", action="store_false", help="leave velocities alone")
    group.add_argument("--no-duration", dest="duration", action="store_false", help="leave lengths alone")
    group.add_argument(
        "--tracks", type=_numbers, metavar="1,3",
        help="play these, from 0, with a named instrument whatever their programs",
    )
    group.add_argument(
        "--protect", type=_numbers, metavar="0-20,96",
        help="leave these pitches alone, too; none: not even those outside the instrument's range",
    )
    group.add_argument(
        "--no-follow", dest="follow", action="store_false", help="heed nothing of how loud other parts are played"
    )
    weights = parser.add_argument_group("which weights", argument_default=argparse.SUPPRESS)
    weights.add_argument("--adapter", type=_name_or_none, metavar="NAME|DIR|none", help="the adapter on the base")
    weights.add_argument(
        "--like", action="append", metavar="TAKE",
        help="play as in this MIDI take of a player; give it again for each further take",
    )
    weights.add_argument("--model", metavar="DIR|ORG/NAME", help="another model than the one that comes with duvhuman")
    weights.add_argument("--device", help="auto (default), cpu, cuda, ...")


def _numbers(text: str) -> tuple[int, ...]:
    """``"1,3,8-10"`` -> (1, 3, 8, 9, 10); ``"none"`` -> ()."""
    if text == "none":
        return ()
    numbers: list[int] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", item)
        run = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
        if not run:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 1,3 or 0-20")
        numbers += run
    return tuple(numbers)


def _name_or_none(text: str) -> str | None:
    return None if text == "none" else text


def _given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if hasattr(args, name)}


def _play_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options for `Humanizer.humanize`, checked before any file is touched and before anything heavy is loaded."""
    from duvhuman.humanize.options import Options

    instrument_name(args.instrument)
    options = _given(args, [field.name for field in fields(Options)])
    Options(**options)
    return options


def _load(args: argparse.Namespace, *, quiet: bool = False) -> Humanizer:
    from duvhuman.humanize.api import load

    with told_warnings(quiet=quiet):
        return load(args.instrument, **_given(args, _LOAD_OPTIONS))


def _humanize(args: argparse.Namespace) -> int:
    options = _play_options(args)
    takes = getattr(args, "like", ())
    jobs = plan_jobs(args.inputs, args.output, takes=takes, recursive=args.recursive, force=args.force)
    bar = ProgressBar(len(jobs), stream=sys.stderr, wanted=not args.quiet)
    done = failed = 0
    try:
        humanizer = _load(args, quiet=args.quiet)
        for job in jobs:
            bar.draw(done + failed, job.source)
            outcome = _humanize_file(humanizer, job, options, force=args.force)
            done, failed = done + outcome.ok, failed + (not outcome.ok)
            bar.clear()
            _show(outcome, args)
    except (ModelError, DataError, MidiError, FileError) as error:  # from the loading; no file can be done
        if not args.json:
            raise
        for job in jobs:
            _show(Outcome(job, error=str(error)), args)
        return FAILED
    except KeyboardInterrupt:
        bar.clear()
        say("interrupted", f"{done} of {len(jobs)} files done; the others were not written.")
        return INTERRUPTED
    return FAILED if failed else DONE


def _humanize_file(humanizer: Humanizer, job: Job, options: dict[str, Any], *, force: bool) -> Outcome:
    """Humanize one file and write the result, over what has come there meanwhile only with `force`; what goes wrong
    with it is in the outcome.
    """
    report, error = None, ""
    with collected_warnings() as messages:
        try:
            result = humanizer.humanize(_source(job.source), **options)
            _write(result, job, force=force)
            report = result.report
        except BrokenPipeError:
            raise
        except (DuvhumanError, OSError) as problem:
            error = str(problem)
        except Exception as bug:  # noqa: BLE001 - a bug, but it must not cost the user the rest of the batch
            where = traceback.extract_tb(bug.__traceback__)[-1]
            place = f"{Path(where.filename).name}, line {where.lineno}"
            error = f"internal error ({type(bug).__name__}: {bug}; {place}); please report it with this file."
    return Outcome(job, report=report, error=error, warnings=messages)


def _source(path: str) -> Any:
    if path != STREAM:
        return path
    if sys.stdin is None:
        raise FileError("standard input is closed; name a file instead of -.")
    return sys.stdin.buffer


def _write(result: MidiFile, job: Job, *, force: bool) -> None:
    if job.target == STREAM:
        sys.stdout.buffer.write(result.to_bytes())
        sys.stdout.buffer.flush()
        return
    if job.in_folder:
        folder = Path(job.target).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{folder}: cannot make this folder ({error.strerror}); choose another with -o.") from error
    result.save(job.target, overwrite=force)


def _show(outcome: Outcome, args: argparse.Namespace) -> None:
    """Print the outcome of one file: JSON or a summary, errors and warnings in the former or on standard error."""
    out = sys.stderr if args.output == STREAM else sys.stdout
    if args.json:
        print(json.dumps(outcome.to_dict()), file=out, flush=True)
        return
    if outcome.error:
        say("error", outcome.error, source=outcome.job.source)
    if args.quiet:
        return
    for message in outcome.warnings:
        say("warning", message, source=outcome.job.source)
    if outcome.report is not None:
        drawn = {"seed", "variation"} & set(vars(args))
        summary = summarize(outcome.job.source, outcome.job.target, outcome.report, with_seed=bool(drawn))
        print(summary, file=out, flush=True)


def _predict(args: argparse.Namespace) -> int:
    options = _play_options(args)
    check_output(args.input, args.output, takes=getattr(args, "like", ()), force=args.force)
    humanizer = _load(args)
    with told_warnings(args.input):
        prediction = humanizer.predict(_source(args.input), **options)
    text = _prediction_json(args.input, prediction) if args.json else _prediction_csv(prediction)
    if args.output == STREAM:
        sys.stdout.write(text)
    else:
        _write_text(args.output, text)
    return DONE


def _write_text(path: str, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(Path(path), text)
    except (OSError, ValueError) as error:  # ValueError: no name at all
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path!r}: cannot write ({reason}); choose another place with -o.") from error


def _note_rows(prediction: Prediction) -> list[tuple[float, ...]]:
    columns = ([round(value, 6) for value in getattr(prediction, name).tolist()] for name in _NOTE_COLUMNS)
    return list(zip(*columns, strict=True))


def _prediction_csv(prediction: Prediction) -> str:
    rows = [_NOTE_COLUMNS, *_note_rows(prediction)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def _prediction_json(source: str, prediction: Prediction) -> str:
    notes = [dict(zip(_NOTE_COLUMNS, row, strict=True)) for row in _note_rows(prediction)]
    return json.dumps({"input": source, "seed": prediction.seed, "notes": notes}) + "\n"


def _models(args: argparse.Namespace) -> int:
    from duvhuman.models.store import list_models

    models = list_models()
    if args.json:
        print(json.dumps([{**asdict(row), "folder": str(row.folder)} for row in models]))
        return DONE
    if not models:
        say("warning", "no models found; install duvhuman anew, or let $DUVHUMAN_MODELS name a folder that holds some.")
        return DONE
    rows = [("instrument", "used", "adapters", "size", "source", "folder")]
    for row in models:
        used, adapters = "yes" if row.used else "no", ", ".join(row.adapters) or "-"
        rows.append((row.instrument, used, adapters, f"{row.size_bytes / 1e6:.1f} MB", row.source, str(row.folder)))
    print(format_table(rows))
    return DONE
