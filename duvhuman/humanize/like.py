"""``like=``: a personal adapter for some takes, from the cache or fitted now.

Conventions
-----------
The cache is ``$DUVHUMAN_CACHE``, else the platform's folder for caches. An adapter lies there under a digest of all
that it follows from: the takes' bytes, the instrument, the weights it begins with and the recipe. Files appear whole or
not at all, so that several processes may share a cache; a damaged adapter is fitted anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import GeneratorType
from typing import Any

from duvhuman.errors import DataError, FileError, OptionError, warn
from duvhuman.files import user_path
from duvhuman.humanize.networks import check_fits, mind_forks, own_lock
from duvhuman.humanize.report import LikeReport
from duvhuman.humanize.selection import choose_parts
from duvhuman.instruments import AUTO, INSTRUMENTS, Instrument
from duvhuman.midi.interop import Source, open_midi
from duvhuman.midi.notes import read_parts
from duvhuman.midi.smf import parse_smf
from duvhuman.models.files import told_of_files
from duvhuman.models.personal import read_personal

CACHE_VARIABLE = "DUVHUMAN_CACHE"
SEAL_FILE = "sha256.json"
FORGIVEN = 0.05
"""By so little velocity r may fall on the held-out bars of a take, or lie above 0, without a word."""
LENGTHS_GAINED = 0.02
"""By so much the articulation MAE falls where a take tells of lengths."""


@dataclass(frozen=True)
class Liked:
    """A fitted adapter.

    Attributes
    ----------
    folder : where it is; outside the cache it goes with this object.
    report : what users are told of it.
    """

    folder: Path
    report: LikeReport


def tells_little(name: str, report: LikeReport) -> str:
    """What to say of a take of the instrument `name` whose held-out bars are played worse with it, or hardly met."""
    before, after = report.velocity_r_before, report.velocity_r_after
    if after < before - FORGIVEN:
        how = f"met worse with it (velocity r {after:.2f}) than without ({before:.2f})"
    elif after < FORGIVEN:
        how = f"hardly met (velocity r {after:.2f})"
    else:
        return ""
    was, is_now = report.articulation_mae_before, report.articulation_mae_after
    if was is not None and is_now is not None and is_now < was - LENGTHS_GAINED:
        how += f"; its lengths are met better (articulation MAE {was:.2f} -> {is_now:.2f})"
    return (
        f"the take of {name} tells little of velocities: in its own held-out bars they are {how}; it is played like it "
        "all the same; give a longer one, or none"
    )


def open_takes(like: object) -> list[Source]:
    """One take, or a list of them, as bytes; the takes stay as they are.

    Raises
    ------
    OptionError
        If there is none, or one is nothing that holds MIDI.
    FileError
        If a path cannot be read.
    """
    several = list(like) if isinstance(like, (list, tuple, GeneratorType)) else None
    takes = []
    for number, take in enumerate([like] if several is None else several):
        try:
            source = open_midi(take)
        except OptionError as error:
            raise OptionError(f"like{'' if several is None else f'[{number}]'}: {error}") from None
        takes.append(source if not source.name.startswith("<") else replace(source, name=f"take {number + 1}"))
    if not takes:
        raise OptionError("like: no take was given; pass a path or another MIDI object, or a list of them")
    return takes


def instruments_of(takes: Sequence[Source], instrument: str) -> dict[str, list[Source]]:
    """Instrument -> the takes to learn it from: all for a named one, with "auto" those that have parts of it.

    Raises
    ------
    MidiError
        If a take is not MIDI.
    DataError
        If with "auto" no part says which instrument it is.
    """
    if instrument != AUTO:
        return {instrument: list(takes)}
    found: dict[str, list[Source]] = {name: [] for name in INSTRUMENTS}
    for take in takes:
        choices = choose_parts(read_parts(parse_smf(take.data, source=take.name)), AUTO).choices
        for name in {choice.instrument.name for choice in choices if choice.instrument is not None}:
            found[name].append(take)
    if not any(found.values()):
        names = ", ".join(take.name for take in takes)
        raise DataError(f"{names}: no part says which instrument it is; name the instrument instead of {AUTO!r}")
    return {name: sources for name, sources in found.items() if sources}


def personal_adapter(
    takes: Sequence[Source], instrument: Instrument, *, marked_only: bool, model: Path, start: Path | None, device: str
) -> Liked:
    """The personal adapter for some takes.

    Parameters
    ----------
    marked_only : as for `read_takes`.
    model, start : the folders of the base and of the adapter that the personal one begins with (None: the bare base).
    device : where it is fitted.

    Raises
    ------
    DataError
        If there is nothing to learn from in the takes; the message says why.
    MidiError
        If a take is not MIDI.
    ModelError
        If weights are damaged, or of another version or instrument.

    Warns
    -----
    DuvhumanWarning
        If another instrument's take is used, a take is left out, or the cache cannot be written.
    """
    from duvhuman.train.personal.fit import RECIPE, fit_personal  # training is imported where it is asked for
    from duvhuman.train.personal.takes import read_takes

    check_fits(model, start, instrument.name)
    # Before the cache is asked: what it warns of holds for a cached adapter, too.
    passages = read_takes(takes, instrument.name, marked_only=marked_only)
    takes = [takes[number] for number in sorted({passage.take for passage in passages})]
    weights = told_of_files(model, start, lambda file: file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    name = f"{instrument.name}-{_digest(takes, instrument, weights, [RECIPE, marked_only])}"
    cached = cache_folder() / "like" / name
    mind_forks()
    with own_lock(name):  # who asks for the same meanwhile waits for it
        if _intact(cached):
            return Liked(cached, _report(cached, takes))
        made = tempfile.mkdtemp(prefix="duvhuman-like-")
        folder = Path(made) / name
        try:
            fit_personal(passages, model, start, folder, base_name=f"duvhuman/{instrument.name}", device=device)
            _seal(folder)
        except BaseException as error:
            shutil.rmtree(made, ignore_errors=True)
            if isinstance(error, OSError):
                raise FileError(f"{made}: the adapter cannot be written there ({error}); make room") from error
            raise
        try:
            _store(folder, cached)
        except OSError as error:
            liked = Liked(folder, _report(folder, takes))
            weakref.finalize(liked, shutil.rmtree, made, ignore_errors=True)
            warn(
                f"{cached.parent}: the adapter cannot be kept there ({_reason(error)}) and is fitted anew "
                f"next time; let ${CACHE_VARIABLE} name a folder that may be written to"
            )
            return liked
        shutil.rmtree(made, ignore_errors=True)
        return Liked(cached, _report(cached, takes))


def cache_folder() -> Path:
    """``$DUVHUMAN_CACHE``, else the platform's folder for caches."""
    if named := os.environ.get(CACHE_VARIABLE):
        return user_path(named)
    if sys.platform == "win32":
        return user_path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")) / "duvhuman" / "Cache"
    if sys.platform == "darwin":
        return user_path("~/Library/Caches/duvhuman")
    return user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "duvhuman"


def _digest(takes: Sequence[Source], instrument: Instrument, weights: Sequence[bytes], recipe: Sequence[int]) -> str:
    """What the adapter follows from, in 32 letters and digits."""
    whole = hashlib.sha256(json.dumps([*recipe, instrument.name]).encode())
    for take in takes:
        whole.update(hashlib.sha256(take.data).digest())
    whole.update(b"".join(weights))
    return whole.hexdigest()[:32]


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.iterdir() if file.name != SEAL_FILE)
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _seal(folder: Path) -> None:
    (folder / SEAL_FILE).write_text(json.dumps(_hashes(folder), indent=1) + "\n", encoding="utf-8")


def _intact(folder: Path) -> bool:
    """Whether the folder holds what was sealed; no is also the answer where it cannot be read."""
    try:
        sealed: Any = json.loads((folder / SEAL_FILE).read_text(encoding="utf-8"))
        return bool(sealed == _hashes(folder))
    except (OSError, ValueError):
        return False


def _store(folder: Path, cached: Path) -> None:
    """Put a copy of the folder into the cache, whole or not at all; OSError if that cannot be done."""
    cached.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".new-", dir=cached.parent))
    try:
        shutil.copytree(folder, beside / "new")
        if cached.exists() and not _intact(cached):
            cached.rename(beside / "damaged")
        try:
            (beside / "new").rename(cached)
        except OSError:
            if not _intact(cached):  # else another process was faster, and its adapter is as good
                raise
    finally:
        with suppress(OSError):
            shutil.rmtree(beside)


def _reason(error: OSError) -> str:
    """Why the system refused; of a folder that could not be copied, why its first file could not."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return error.strerror or str(error)


def _report(folder: Path, takes: Sequence[Source]) -> LikeReport:
    judged = read_personal(folder)["held_out"]
    before, after = judged["velocity_r"]
    lengths = judged["articulation_mae"] or (None, None)
    return LikeReport(
        takes=tuple(take.name for take in takes), held_out_notes=int(judged["notes"]),
        velocity_r_before=float(before), velocity_r_after=float(after),
        articulation_mae_before=lengths[0], articulation_mae_after=lengths[1],
    )
