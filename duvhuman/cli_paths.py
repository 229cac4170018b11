"""Which file goes where: the command line's inputs and its output become a list of jobs, before any work is done.

Conventions
-----------
Paths stay spelled as the user spelled them. ``-`` is standard input or standard output. A path is a *folder* if one
exists there, or if it ends in a slash. Two paths are the same file if their device and inode are the same, so that
links and other spellings are seen through.
"""

# Paths are strings here, for pathlib drops the trailing slash that makes a folder of an output.
# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH119

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import OptionError
from duvhuman.files import MIDI_SUFFIXES, is_midi_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STREAM = "-"
"""Standard input as an input, standard output as an output."""

_SLASHES = tuple({os.sep, os.altsep or os.sep, "/"})


@dataclass(frozen=True)
class Job:
    """One file to read and the place where its result goes; either may be ``-``.

    Attributes
    ----------
    source, target : the two paths.
    in_folder : whether the target is in an output folder, which is made if it is missing.
    """

    source: str
    target: str
    in_folder: bool = False


def plan_jobs(
    inputs: Sequence[str], output: str, *, takes: Sequence[str] = (), recursive: bool = False, force: bool = False
) -> list[Job]:
    """Lay out every output, and refuse what would lose a file.

    Parameters
    ----------
    inputs : files, folders, or one ``-``; at least one.
    output : a file for a single file, else a folder, which need not exist; or ``-`` for a single file.
    takes : files that are read beside the inputs, and as safe as these.
    recursive : take the folders below an input folder, too.
    force : allow outputs that exist already to be replaced. Inputs are never written over.

    Returns
    -------
    list of Job, in the order of the inputs, within a folder sorted by path. Results of a folder keep their path
    relative to it, results of a file their name.

    Raises
    ------
    OptionError
        If inputs and output do not fit together, a folder cannot be listed or holds no MIDI file, two results would
        land on one path, a result would replace an input, or outputs exist already; the message names each file.
    """
    jobs = _pair(inputs, output, recursive=recursive)
    _refuse_collisions(jobs)
    _refuse_overwriting([*takes, *(job.source for job in jobs)], [job.target for job in jobs], force=force)
    return jobs


def check_output(source: str, target: str, *, takes: Sequence[str] = (), force: bool = False) -> None:
    """Refuse to write `target` over what is read, or, without `force`, over any file; raises as `plan_jobs` does."""
    _refuse_overwriting([*takes, source], [target], force=force)


def _pair(inputs: Sequence[str], output: str, *, recursive: bool) -> list[Job]:
    if STREAM in inputs and len(inputs) > 1:
        raise OptionError("standard input (-) cannot be combined with other inputs; give it alone.")
    into_folder = len(inputs) > 1 or os.path.isdir(inputs[0]) or _is_folder(output)
    if output == STREAM:
        if len(inputs) > 1 or os.path.isdir(inputs[0]):
            raise OptionError("standard output (-) takes one file; for several give a folder: -o FOLDER/.")
        return [Job(inputs[0], STREAM)]
    if not into_folder:
        return [Job(inputs[0], output)]
    if inputs[0] == STREAM:
        example = os.path.join(output, "NAME.mid")
        raise OptionError(f"{output} is a folder, and standard input has no file name; give one, as in -o {example}.")
    if os.path.lexists(output) and not os.path.isdir(output):
        raise OptionError(f"{output} is a file, but several inputs need a folder; give one with -o FOLDER/.")
    jobs = []
    for source in inputs:
        if os.path.isdir(source):
            names = _midi_files(source, recursive=recursive, without=output)
            jobs += [Job(os.path.join(source, name), os.path.join(output, name), in_folder=True) for name in names]
        else:
            jobs.append(Job(source, os.path.join(output, os.path.basename(source)), in_folder=True))
    return jobs


def _is_folder(path: str) -> bool:
    return path.endswith(_SLASHES) or os.path.isdir(path)


def _midi_files(folder: str, *, recursive: bool, without: str) -> list[str]:
    """The MIDI files of a folder, relative to it, sorted; earlier results in `without`, below it, are no inputs."""

    def give_up(error: OSError) -> None:
        raise OptionError(f"{error.filename}: cannot list this folder ({error.strerror}); check its permissions.")

    found: list[str] = []
    for parent, folders, files in os.walk(folder, onerror=give_up):
        folders[:] = [name for name in folders if recursive and not _same_file(os.path.join(parent, name), without)]
        found += [os.path.relpath(os.path.join(parent, name), folder) for name in files if is_midi_name(name)]
    if not found:
        hint = "" if recursive else "; add -r to look in the folders below it, too"
        raise OptionError(f"{folder}: no MIDI file ({', '.join(MIDI_SUFFIXES)}) in this folder{hint}.")
    return sorted(found)


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    taken: dict[str, str] = {}
    for job in jobs:
        place = os.path.normcase(os.path.abspath(job.target))
        if place in taken:
            raise OptionError(
                f"{taken[place]} and {job.source} would both be written to {job.target}; "
                "rename one of them, or humanize them into different folders."
            )
        taken[place] = job.source


def _refuse_overwriting(sources: Sequence[str], targets: Sequence[str], *, force: bool) -> None:
    known = {identity: source for source in sources if (identity := _identity(source)) is not None}
    existing = [name for name in targets if name != STREAM and os.path.lexists(name) and not _is_device(name)]
    over = {target: known[identity] for target in existing if (identity := _identity(target)) in known}
    if over:
        raise OptionError(
            "refusing to write over an input; choose another output with -o:"
            + "".join(f"\n  {target} is the input {source}" for target, source in over.items())
        )
    folders = [target for target in existing if os.path.isdir(target)]
    if folders:
        names = "".join(f"\n  {path}" for path in folders)
        raise OptionError(f"a folder is in the way of an output; rename it, or choose another output with -o:{names}")
    if existing and not force:
        raise OptionError(
            "refusing to overwrite; add --force to replace, or choose another output with -o:"
            + "".join(f"\n  {path} exists" for path in existing)
        )


def _is_device(path: str) -> bool:
    """Whether what is written there replaces nothing: /dev/null, a pipe."""
    there = Path(path)
    return there.exists() and not there.is_file() and not there.is_dir()


def _identity(path: str) -> tuple[int, int] | None:
    """Device and inode, of what is redirected there for ``-``; None where there is nothing."""
    try:
        status = os.fstat(0) if path == STREAM else os.stat(path)
    except (OSError, ValueError):  # ValueError: a null byte in the path
        return None
    return status.st_dev, status.st_ino


def _same_file(left: str, right: str) -> bool:
    identity = _identity(left)
    return identity is not None and identity == _identity(right)
