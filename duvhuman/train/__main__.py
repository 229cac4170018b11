"""The command line of training: ``python -m duvhuman.train --help``.

Conventions
-----------
Exit codes: 0 done, 1 failed, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from duvhuman.errors import DuvhumanError, DuvhumanWarning, OptionError
from duvhuman.train.commands import COMMANDS

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = arguments.pop(0) if arguments and arguments[0] in COMMANDS else "train"
    module = import_module(f"duvhuman.train.commands.{command.replace('-', '_')}")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            _check_none_empty([command, *arguments])
            module.run(arguments)
        print(end="", flush=True)
    except OptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # the reader of our output has left, as in `... evaluate guitar | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it shuts down
        return FAILED
    except (DuvhumanError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _check_none_empty(arguments: Sequence[str]) -> None:
    """Refuse arguments that are empty, as variables of a shell may be: as paths they would name the current folder."""
    for before, given in itertools.pairwise(arguments):
        option, equals, value = given.partition("=")
        if not given or (option.startswith("--") and equals and not value):
            where = option or before
            raise OptionError(f"nothing stands behind {where}; name something there, such as . for this folder")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    """Our own warnings in a line, without the place in the code, which tells users nothing; others as Python does."""
    own = issubclass(category, DuvhumanWarning)
    sys.stderr.write(f"warning: {message}\n" if own else warnings.formatwarning(message, category, filename, lineno))


if __name__ == "__main__":
    sys.exit(main())
