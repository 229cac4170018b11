"""A line on a terminal that is drawn over and over."""

from __future__ import annotations

import shutil
from typing import TextIO

BAR_WIDTH = 24
"""In characters."""


class LiveLine:
    """Draws texts over each other; nothing at all where the stream is no terminal.

    Parameters
    ----------
    stream : where it is drawn; `is_live` tells whether that is a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self.is_live = stream.isatty()
        self._stream = stream
        self._drawn = 0

    def show(self, text: str) -> None:
        """Draw `text`, or what fits of it, over what is there."""
        if self.is_live:
            text = text[: shutil.get_terminal_size().columns - 1]  # the last column would wrap
            self._stream.write("\r" + text.ljust(self._drawn))
            self._stream.flush()
            self._drawn = len(text)

    def clear(self) -> None:
        """Wipe the line, so that something else can be printed."""
        if self._drawn:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._stream.flush()
            self._drawn = 0


def bar_text(done: int, total: int) -> str:
    """How much is done, as ``[######------------------] 3/12``."""
    filled = min(BAR_WIDTH * done // total, BAR_WIDTH)
    return f"[{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {done}/{total}"


def clock_text(seconds: float) -> str:
    """A time as ``12:34`` or, from an hour on, ``1:23:45``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
