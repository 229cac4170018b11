"""Errors that duvhuman raises on purpose, and Ctrl-C, end a benchmark with one line instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from duvhuman.errors import DuvhumanError

INTERRUPTED = 130


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a benchmark from the command line and exit with the status that it returns, if any."""
    try:
        sys.exit(main())
    except DuvhumanError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
