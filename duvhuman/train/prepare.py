"""Folders of MIDI -> a prepared data set: parts of our instruments, filtered, without duplicates, split by song.

Conventions
-----------
What is written follows from the files alone: not from who reads them (processes, a cluster), nor from their number.
Parts stand in an order shuffled by a hash of where they are from, so that each shard is a fair sample of everything:
training goes shard after shard. Memory holds the parts' rows and the digests of their bars, and some 100 MB of notes.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from duvhuman import __version__
from duvhuman.arrays import BoolArray, IntArray
from duvhuman.errors import DataError, DuvhumanError, FileError, OptionError
from duvhuman.files import MIDI_SUFFIXES
from duvhuman.humanize.keyed import KeyArray
from duvhuman.train.data.engines import Engine, LocalPool, ThisProcess, in_order
from duvhuman.train.data.parquet import require_pyarrow, write_parquet
from duvhuman.train.data.parts import VALID_SHARE, fraction_of
from duvhuman.train.data.read_midi import FileGroup, Pack, ReadGroup, find_files, read_group
from duvhuman.train.data.songs import group_songs
from duvhuman.train.data.spool import Spool
from duvhuman.train.data.storage import DATASET_FILE, SHARDS, PartRow, StoredPart, is_shard, write_dataset

__all__ = ["Pack", "Summary", "prepare"]

GROUP_FILES = 32
"""So many files are read in one go."""
PARQUET_FOLDER, PARQUET_FILES = "parquet", "notes-*.parquet"
LEAVING, GONE = "leaving", "gone"
"""Where the old data set is moved, and what that is called when all of it is there."""
WORK_FOLDER = ".prepare"
DUPLICATE = "duplicate of another part"
ONLY_EXTRA = "another instrument, or velocities nearly flat"
OF_HELD_OUT_SONG = "extra, of a song that is held out"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Summary:
    """What `prepare` kept and what it left out.

    Attributes
    ----------
    files, parts, notes, songs : what was read, and what was kept of it.
    kept : instrument -> split -> notes.
    left_out : reason -> parts (files, where a whole file was left out).
    """

    files: int
    parts: int
    notes: int
    songs: int
    kept: dict[str, dict[str, int]]
    left_out: dict[str, int]


def prepare(
    packs: Sequence[Pack], out: str | PathLike[str], *, valid_share: float = VALID_SHARE, jobs: int = 1,
    ray: str | None = None, parquet: bool = False, force: bool = False, progress: Progress | None = None,
) -> Summary:
    """Read every MIDI file below the folders of `packs` and write a prepared data set into `out`.

    Temporary files lie in a folder of `out`, which is removed however this ends. A data set that stands there is
    replaced once the new one is complete.

    Parameters
    ----------
    valid_share : the share of songs held out for validation, 0..1; which ones follows from their names alone.
    jobs : processes to read with; with more than one, a script needs ``if __name__ == "__main__":``.
    ray : address of a Ray cluster to read with instead: ``HOST:PORT``, or ``"auto"``.
    parquet : also write the notes as Parquet tables, into ``out/parquet``.
    force : replace a data set that stands in `out`.
    progress : called with the number of files read and the number of all files, every now and then.

    Raises
    ------
    DataError
        If a folder is none or does not exist, or nothing usable is found (the message says which filter removed what).
    OptionError
        If a folder is given twice.
    FileError
        If `out` cannot be written, or holds something that would be overwritten.
    DuvhumanError
        If Ray or pyarrow is asked for and missing, or there is no such cluster.
    """
    out = Path(out)
    packs = _named(packs)
    if parquet:
        require_pyarrow()
    _check_target(out, force=force)
    files = {pack: find_files(pack.folder) for pack in packs}
    found = _Found()
    with _working_folder(out, force=force) as work:
        (work / "spool").mkdir()
        spool = Spool(work / "spool")
        total = sum(map(len, files.values()))
        with _engine(jobs, ray) as engine:
            for group, read in in_order(engine, _groups(files)):
                found.add(group, read, spool)
                if progress is not None:
                    progress(found.files, total)
        wanted = found.first_of_each()
        if not (wanted & ~found.extra).any():
            found.left_out.update({ONLY_EXTRA: int(found.extra.sum())} if found.extra.any() else {})
            if not total:
                folders = ", ".join(str(pack.folder) for pack in packs)
                raise DataError(f"{folders}: no MIDI files ({', '.join(MIDI_SUFFIXES)}) there, or in folders below")
            raise DataError(f"{total} files hold no usable part ({_reasons(found.left_out) or 'no notes'})")
        summary = _write(work / "new", found, wanted, spool, files, valid_share)
        if parquet:
            write_parquet(work / "new", work / "new" / PARQUET_FOLDER)
        _exchange(out, work)
    return summary


@dataclass
class _Found:
    """What was read so far, but for the notes: P parts, in the order of their files."""

    files: int = 0
    rows: list[PartRow] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    _sizes: list[IntArray] = field(default_factory=list)
    _keys: list[KeyArray] = field(default_factory=list)
    _fingerprints: list[KeyArray] = field(default_factory=list)
    _bars: list[KeyArray] = field(default_factory=list)
    _bar_counts: list[IntArray] = field(default_factory=list)

    def add(self, group: FileGroup, read: ReadGroup, spool: Spool) -> None:
        """Keep what was read, its notes in the spool."""
        spool.add(read.notes, keys=read.keys, sizes=read.sizes)
        self.files += len(group.files)
        self.rows += read.rows
        self.left_out.update(read.left_out)
        self._sizes.append(read.sizes)
        self._keys.append(read.keys)
        self._fingerprints.append(read.fingerprints)
        self._bars.append(read.bars)
        self._bar_counts.append(read.bar_counts)

    @property
    def sizes(self) -> IntArray:
        """(P,) numbers of notes."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._sizes])

    @property
    def keys(self) -> KeyArray:
        """(P,) what the parts are ordered by."""
        return np.concatenate([np.zeros(0, dtype=np.uint64), *self._keys])

    @property
    def fingerprints(self) -> KeyArray:
        """(P,) equal for the same performance."""
        return np.concatenate([np.zeros(0, dtype=np.uint64), *self._fingerprints])

    @property
    def extra(self) -> BoolArray:
        """(P,) which parts are extra."""
        return np.array([row.extra for row in self.rows], dtype=np.bool_)

    def first_of_each(self) -> BoolArray:
        """(P,) True for the first part of each fingerprint, extra ones last; the others are counted as left out."""
        first = np.zeros(len(self.rows), dtype=np.bool_)
        order = np.argsort(self.extra, kind="stable")
        first[order[np.unique(self.fingerprints[order], return_index=True)[1]]] = True
        if not first.all():
            self.left_out[DUPLICATE] += int((~first).sum())
        return first

    def songs(self, among: BoolArray) -> list[str]:
        """The song of each of the parts `among` (P,) all, versions joined."""
        names = [row.song for row, one in zip(self.rows, among.tolist(), strict=True) if one]
        bars, counts = np.concatenate(self._bars), np.concatenate(self._bar_counts)
        return group_songs(
            names, self.fingerprints[among], bars=bars[np.repeat(among, counts)], bar_counts=counts[among]
        )

    def splits(self, valid_share: float) -> tuple[list[str], list[str]]:
        """(P,) the song of each part, and its split; "" for an extra part of a song that is held out.

        Songs are held out by the parts that are not extra, so that extra parts move none from one split to the other.
        """
        extra, everything = self.extra, np.ones(len(self.rows), dtype=np.bool_)
        songs, splits = np.array(self.songs(everything), object), np.full(len(extra), "train", object)
        if not extra.all():
            songs_of_judged = self.songs(~extra)
            splits[~extra] = ["valid" if fraction_of(song) < valid_share else "train" for song in songs_of_judged]
            held_out = set(songs[splits == "valid"].tolist())
            splits[extra & np.array([song in held_out for song in songs.tolist()])] = ""
            songs[~extra] = songs_of_judged
            # An extra part belongs to the song that the other parts of its file belong to.
            named = np.array([row.song for row in self.rows], object)
            song_of_file = dict(zip(named[~extra].tolist(), songs_of_judged, strict=True))
            songs[extra] = [song_of_file.get(*both) for both in zip(named[extra], songs[extra], strict=True)]
        return songs.tolist(), splits.tolist()


def _write(
    folder: Path, found: _Found, wanted: BoolArray, spool: Spool, files: dict[Pack, list[str]], valid_share: float
) -> Summary:
    """Write the wanted parts as a data set."""
    songs, splits = found.splits(valid_share)
    held_out = np.array([split == "" for split in splits])
    if (wanted & held_out).any():
        found.left_out[OF_HELD_OUT_SONG] += int((wanted & held_out).sum())
    wanted = wanted & ~held_out
    kept_songs = {song for song, keep in zip(songs, wanted.tolist(), strict=True) if keep}
    kept: dict[str, dict[str, int]] = {}

    def parts() -> Iterator[StoredPart]:
        for number, columns in spool.read(keys=found.keys, sizes=found.sizes, wanted=wanted):
            song = songs[number]
            part = StoredPart(replace(found.rows[number], song=song, split=splits[number]), columns)
            notes = kept.setdefault(part.row.instrument, {"train": 0, "valid": 0})
            notes[part.row.split] += len(part)
            yield part

    left_out = dict(found.left_out.most_common())
    about: dict[str, Any] = {
        "duvhuman": __version__,
        "packs": [
            {"name": pack.name, "files": len(names), "instrument": pack.instrument} for pack, names in files.items()
        ],
        "valid_share": valid_share,
        "songs": len(kept_songs),
        "left_out": left_out,
    }
    count, notes = write_dataset(folder, parts(), about=about)
    return Summary(
        files=found.files, parts=count, notes=notes, songs=len(kept_songs), kept=dict(sorted(kept.items())),
        left_out=left_out,
    )


def _named(packs: Sequence[Pack]) -> list[Pack]:
    """The packs with a name each: their folder's, and where one before has that, as many folders above it as it takes.

    So a folder that is added behind the others renames none of them, which would move songs to the other side.
    """
    for pack in packs:
        if not pack.folder.is_dir():
            wrong = "a file, not a folder" if pack.folder.exists() else "no such folder"
            raise DataError(f"{pack.folder}: {wrong}; name folders of MIDI files")
    folders = [pack.folder.resolve() for pack in packs]
    for folder, times in Counter(folders).items():
        if times > 1:
            raise OptionError(f"{folder}: given {times} times")
    names = [pack.name for pack in packs]
    for number, folder in enumerate(folders):
        if not names[number]:
            longer = ("/".join(folder.parts[-depth:]) for depth in range(1, len(folder.parts) + 1))
            names[number] = next(name for name in longer if name not in names)
    return [replace(pack, name=name) for pack, name in zip(packs, names, strict=True)]


def _groups(files: dict[Pack, list[str]]) -> Iterator[FileGroup]:
    for pack, names in files.items():
        for first in range(0, len(names), GROUP_FILES):
            yield FileGroup(pack, tuple(names[first : first + GROUP_FILES]))


def _engine(jobs: int, ray: str | None) -> Engine[FileGroup, ReadGroup]:
    if ray is not None:
        from duvhuman.train.data.ray_engine import RayCluster

        return RayCluster(ray)
    return LocalPool(read_group, jobs) if jobs > 1 else ThisProcess(read_group)


def _reasons(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} parts: {reason}" for reason, count in left_out.most_common())


# Where it is written.


def _check_target(out: Path, *, force: bool) -> None:
    """FileError if `out` holds something that would be lost."""
    if not force and ((out / DATASET_FILE).exists() or any((out / PARQUET_FOLDER).glob(PARQUET_FILES))):
        raise FileError(f"{out}: a data set stands there; choose another --out, or replace it with --force")
    for folder in out.glob(SHARDS):
        if not is_shard(folder):
            raise FileError(f"{folder}: stands where a shard would be written; choose another --out")


@contextmanager
def _working_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """A folder in `out` that is removed in the end, and `out` with it if it was made here and is empty then."""
    work = out / WORK_FOLDER
    new = not out.exists()
    try:
        if force:
            _put_back(out, work)
            shutil.rmtree(work, ignore_errors=True)
        try:
            work.mkdir(parents=True)
        except FileExistsError:
            if work.is_dir():
                raise FileError(
                    f"{work}: another prepare is writing there, or was killed while it did; if none is, use --force"
                ) from None
            raise
    except OSError as error:
        raise error if isinstance(error, DuvhumanError) else _cannot_write(out, error) from None
    try:
        yield work
    except OSError as error:
        raise error if isinstance(error, DuvhumanError) else _cannot_write(out, error) from None
    finally:
        _put_back(out, work)
        shutil.rmtree(work, ignore_errors=True)
        if new and out.is_dir() and not any(out.iterdir()):
            out.rmdir()


def _cannot_write(out: Path, error: OSError) -> FileError:
    return FileError(f"{out}: the data cannot be written there ({error}); choose another --out")


def _exchange(out: Path, work: Path) -> None:
    """Put the data set in ``work/new`` in the place of the one in `out`; `_put_back` undoes what is begun of it."""
    if not (work / "new" / DATASET_FILE).exists():
        raise FileError(f"{out}: another prepare has written there meanwhile; start one at a time")
    (work / LEAVING).mkdir()
    _move(_pieces(out), out, work / LEAVING)
    (work / LEAVING).rename(work / GONE)
    _move(_pieces(work / "new")[::-1], work / "new", out)


def _put_back(out: Path, work: Path) -> None:
    """Put the data set back that an exchange moved away, unless a whole one has taken its place."""
    if (work / LEAVING).exists():
        _move(_pieces(work / LEAVING)[::-1], work / LEAVING, out)
    elif (work / GONE).exists() and not (out / DATASET_FILE).exists():
        _move(_pieces(out), out, work / "new")
        _move(_pieces(work / GONE)[::-1], work / GONE, out)


def _pieces(folder: Path) -> list[Path]:
    """What the data set in `folder`, or what is left of it, consists of; first the index, without which it is none."""
    index, shards = folder / DATASET_FILE, sorted(folder.glob(SHARDS))
    found = [*([index] if index.exists() else []), *shards, *sorted((folder / PARQUET_FOLDER).glob(PARQUET_FILES))]
    return [piece.relative_to(folder) for piece in found]


def _move(pieces: Sequence[Path], source: Path, target: Path) -> None:
    for piece in pieces:
        (target / piece).parent.mkdir(parents=True, exist_ok=True)
        (source / piece).rename(target / piece)
