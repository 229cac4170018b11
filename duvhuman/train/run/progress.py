"""The live line of a run: where it is, how fast it goes, and when it will be done.

Conventions
-----------
Steps and notes are counted from the beginning of the run, a resumed run's earlier ones included; times are seconds.
Nothing here touches a tensor, so that a step never waits for the device.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from duvhuman.live_line import LiveLine, bar_text, clock_text

REDRAW_SECONDS = 0.2
PLAIN_SECONDS = 60.0
"""On a stream that is no terminal, such as a log file, a line is written so often."""
WINDOW_SECONDS = 15.0
"""Notes per second are those of the last so many seconds."""
_UNSEEN = float("-inf")


class ProgressLine:
    """A line such as ``guitar base  epoch 3/20  [######------] 1234/5678  6,912 notes/s  ETA 12:34``.

    Parameters
    ----------
    total_steps : of all epochs.
    stream : where it is drawn: a line that redraws itself on a terminal, else a plain line now and then.
    label : what is trained, such as ``"guitar base"``.
    epochs : number of epochs that `total_steps` are.
    clock : the time in seconds, from any beginning.
    """

    def __init__(
        self, total_steps: int, stream: TextIO, *, label: str, epochs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._stream, self._label, self._epochs = max(total_steps, 1), stream, label, epochs
        self._clock = clock
        self._line = LiveLine(stream)
        self._every = REDRAW_SECONDS if self._line.is_live else PLAIN_SECONDS
        self._started = clock()
        self._first: tuple[float, int] | None = None
        self._recent: deque[tuple[float, int]] = deque()
        self._next = _UNSEEN if self._line.is_live else self._started + PLAIN_SECONDS

    def update(self, done_steps: int, notes: int) -> None:
        """Say that so many steps are done, which held so many notes; cheap enough for every step."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done_steps)
            self._recent.append((now, notes))
        if now < self._next:
            return
        self._next = now + self._every
        self._recent.append((now, notes))
        while len(self._recent) > 2 and self._recent[1][0] <= now - WINDOW_SECONDS:
            self._recent.popleft()
        text = self._text(now, done_steps, notes)
        if self._line.is_live:
            self._line.show(text)
        else:
            self._stream.write(text + "\n")
            self._stream.flush()

    def clear(self) -> None:
        """Wipe the line, so that something else can be printed."""
        if self._line.is_live:
            self._line.clear()
            self._next = _UNSEEN

    def _text(self, now: float, done: int, notes: int) -> str:
        epoch = min((max(done, 1) - 1) * self._epochs // self._total, self._epochs - 1)
        pieces = [self._label, f"epoch {epoch + 1}/{self._epochs}", bar_text(done, self._total)]
        since, before = self._recent[0]
        if now > since:
            pieces.append(f"{(notes - before) / (now - since):,.0f} notes/s")
        begun, first = self._first or (now, done)
        if done > first:  # the first step, which compiles and warms up, tells nothing of the others
            pieces.append(f"ETA {clock_text((now - begun) / (done - first) * max(self._total - done, 0))}")
        return "  ".join(pieces)
