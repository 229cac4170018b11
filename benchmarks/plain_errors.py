"""Errors that duvhuman raises on purpose, and Ctrl-C, end a benchmark with one line instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from duvhuman.errors import DuvhumanError

INTERRUPTED = 130


def run(main: Callable[[], None]) -> None:
    """Run a benchmark from the command line."""
    try:
        main()
    except DuvhumanError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
