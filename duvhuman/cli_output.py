"""What the command line shows: the summary of a file, a table, one line per warning, the progress bar.

Conventions
-----------
Text that comes from a file (track names) is shown with its control characters replaced, so that no file can write to
the terminal as it likes. Velocities are MIDI velocities, 1..127; tracks are numbered as ``--tracks`` numbers them.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from duvhuman.errors import DuvhumanWarning
from duvhuman.live_line import LiveLine, bar_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duvhuman.cli_paths import Job
    from duvhuman.humanize.report import PartReport, Report


def printable(text: str) -> str:
    """`text` on one line, each character that is not printable replaced by a question mark."""
    return "".join(character if character.isprintable() else "?" for character in text)


def format_table(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Rows of cells, the first the headings, as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


@dataclass(frozen=True)
class Outcome:
    """What became of one job: a report, or the error that stopped it.

    Attributes
    ----------
    job : what was to be done.
    report : what was done; None if it failed.
    error : why it failed; empty if it did not.
    warnings : messages for the user, in the order in which they came up.
    """

    job: Job
    report: Report | None = None
    error: str = ""
    warnings: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether the result was written."""
        return not self.error

    def to_dict(self) -> dict[str, Any]:
        """The object of ``--json``; its keys are the same whether the file succeeded or failed."""
        report = self.report.to_dict() if self.report is not None else {}
        return {
            "input": self.job.source, "output": self.job.target, "ok": self.ok, "error": self.error or None,
            "seed": None, "changed": False, "found_beat": None, "parts": [], **report,
            "warnings": list(self.warnings),
        }


def summarize(source: str, target: str, report: Report, *, with_seed: bool) -> str:
    """What was done to one file: a heading, and a row for each of its parts.

    Parameters
    ----------
    with_seed : whether to tell the seed, which decides nothing where nothing is drawn.
    """
    heading = f"{printable(source)} -> {printable(target)}" + (f"  (seed {report.seed})" if with_seed else "")
    if not report.parts:
        return f"{heading}\n  no notes; left as it was"
    headings = ("tracks", "name", "instrument", "notes", "velocities", "lengths", "velocity range", "left alone")
    rows = [headings, *(_part_row(part) for part in report.parts)]
    told = [*_like_lines(report), *_follow_lines(report)]
    return "\n".join([heading, *_beat_line(report), format_table(rows, indent="  "), *told])


def _beat_line(report: Report) -> list[str]:
    return [f"  keeps no beat; one was found in what all tracks play: {report.found_beat}"] if report.found_beat else []


def _like_lines(report: Report) -> list[str]:
    """For each set of takes, which parts were played like it, and what that gained where it could be judged."""
    liked = {part.like: part.instrument for part in report.parts if part.like is not None}
    lines = []
    for like, instrument in liked.items():
        lengths = (
            f", articulation MAE {like.articulation_mae_before:.2f} -> {like.articulation_mae_after:.2f}"
            if like.articulation_mae_before is not None else ""
        )
        lines.append(
            f"  {instrument} played like {printable(', '.join(like.takes))} (on {like.held_out_notes} notes, each bar "
            f"held out once: velocity r {like.velocity_r_before:.2f} -> {like.velocity_r_after:.2f}{lengths})"
        )
    return lines


def _follow_lines(report: Report) -> list[str]:
    """For each set of tracks that are played with dynamics, which tracks follow them."""
    followers: dict[tuple[int, ...], set[int]] = {}
    for part in report.parts:
        if part.follows:
            followers.setdefault(part.follows, set()).update(part.tracks)
    return [f"  {_tracks(sorted(own))} played along with {_tracks(heard)}" for heard, own in followers.items()]


def _tracks(tracks: Sequence[int]) -> str:
    return f"track{'s' if len(tracks) > 1 else ''} {', '.join(map(str, tracks))}"


def _part_row(part: PartReport) -> tuple[str, ...]:
    tracks = ",".join(map(str, part.tracks))
    name = printable(part.name) or "-"
    if part.skipped:
        return tracks, name, part.instrument or "-", str(part.notes), "-", "-", "-", f"all: {printable(part.skipped)}"
    before, after = _range(part.velocity_before), _range(part.velocity_after)
    kept = f"{part.protected} protected" if part.protected else ""
    return (
        tracks, name, part.instrument or "-", str(part.notes), f"{part.velocities_changed} changed",
        f"{part.durations_changed} changed", f"{before} -> {after}", kept,
    )


def _range(velocities: tuple[int, int]) -> str:
    low, high = velocities
    return str(low) if low == high else f"{low}-{high}"


def say(kind: str, message: str, *, source: str = "") -> None:
    """Print ``duvhuman: kind: message`` on standard error, with the file's name unless the message has it."""
    where = f"{source}: " if source and source not in message else ""
    text = "\n".join(printable(line) for line in f"{where}{message}".splitlines())
    sys.stderr.write(f"duvhuman: {kind}: {text}\n")


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Gather the messages of duvhuman's own warnings, each once; those of others are shown as Python shows them."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DuvhumanWarning)
        try:
            yield messages
        finally:
            mine = [str(entry.message) for entry in caught if issubclass(entry.category, DuvhumanWarning)]
            messages += dict.fromkeys(mine)
    for entry in caught:
        if not issubclass(entry.category, DuvhumanWarning):
            warnings.showwarning(entry.message, entry.category, entry.filename, entry.lineno)


@contextmanager
def told_warnings(source: str = "", *, quiet: bool = False) -> Iterator[None]:
    """Say duvhuman's own warnings at the end, unless `quiet`, even if what warns fails."""
    messages: list[str] = []
    try:
        with collected_warnings() as messages:
            yield
    finally:
        for message in () if quiet else messages:
            say("warning", message, source=source)


class ProgressBar:
    """A line such as ``[######------] 3/6 song.mid`` that redraws itself; nothing at all where it is not wanted.

    Parameters
    ----------
    total : number of files.
    stream : where it is drawn.
    wanted : False keeps it silent, and so does a stream that is no terminal or a single file.
    """

    def __init__(self, total: int, *, stream: TextIO, wanted: bool = True) -> None:
        self._total = total
        self._line = LiveLine(stream)
        self._active = wanted and total > 1

    def draw(self, done: int, name: str) -> None:
        """Show that `done` files are finished and that `name` is being worked on."""
        if self._active:
            self._line.show(f"{bar_text(done, self._total)} {printable(name)}")

    def clear(self) -> None:
        """Wipe the line, so that something else can be printed."""
        self._line.clear()
