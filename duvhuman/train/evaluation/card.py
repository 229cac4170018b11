"""The model card beside the weights, written from the record of the training and a report of the evaluation.

Conventions
-----------
Every figure comes from ``training.json`` or from `duvhuman.train.evaluation`. What stands here is the credits of the
packs that the shipped models are made of, and the limits of what such packs teach; neither is said of other data, whose
source and licence their owner knows alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from duvhuman.errors import FileError
from duvhuman.files import write_whole
from duvhuman.models.files import ADAPTER_FOLDER, CARD_FILE, trees_file
from duvhuman.models.phrase_transformer import read_config
from duvhuman.models.trees import read_growth
from duvhuman.train.evaluation.report import FLAT, RIDGE, Evaluation, format_report, shipped_row
from duvhuman.train.record import AVERAGE, EARLIER, PACKS, packs_heard, read_record

CREDITS = {
    "lakh": """\
- Lakh MIDI Dataset, CC BY 4.0 (the collection; the sequencers granted nothing separately). Colin Raffel,
  "Learning-Based Methods for Comparing Sequences, with Applications to Audio-to-MIDI Alignment and Matching",
  PhD thesis, 2016.""",
    "pop909": """\
- POP909, MIT, Copyright (c) 2020 Music X Lab. Wang et al., "POP909: A Pop-song Dataset for Music Arrangement
  Generation", ISMIR 2020.""",
    "giantmidi": """\
- GiantMIDI-Piano, CC BY 4.0. Kong et al., "GiantMIDI-Piano: A large-scale MIDI Dataset for Classical Piano Music",
  TISMIR 2022.""",
}
"""By the name of the pack."""
LIMITS = {
    "guitar": "Most of the players sat at a keyboard or a sequencer; strums and plucks are theirs.",
    "bass": "Most of the players sat at a keyboard or a sequencer; slides and ghost notes are rare.",
    "keys": "Piano dominates (GiantMIDI, POP909); organs, whose sound ignores velocity, are few.",
    "strings": "Velocities in the data are mostly block dynamics per passage; a swell you write yourself helps more.",
}
"""Of the parts of each instrument in the packs of `CREDITS` together."""
STAGE_NAMES = {
    "shallow": "trunk, first half of the layers",
    "trunk": "trunk",
    "base": "base",
    "lora": "LoRA adapter",
}


def write_card(folder: Path, report: Evaluation, judged_by: Collection[str], options: Sequence[str] = ()) -> None:
    """Write ``README.md`` into the model's folder from its record and its evaluation.

    Parameters
    ----------
    judged_by : the packs of the data, of all instruments. A stage whose record does not name its packs is taken to have
        heard these.
    options : of the command that evaluated the model; cards are shown to others, and so are these.

    Raises
    ------
    DataError, ModelError
        If the record or the configuration in `folder` cannot be read.
    FileError
        If the card cannot be written.
    """
    instrument = report.instrument
    record, shape = read_record(folder), read_config(folder)
    packs = packs_heard(record, judged_by)
    if shape.trees_share:
        packs |= set(read_growth(trees_file(folder)).get(PACKS, judged_by))
    adapter = ", and a LoRA adapter in PEFT's format" if (folder / ADAPTER_FOLDER).is_dir() else ""
    trees = (
        f"Boosted trees, the same for all instruments, say {shape.trees_share:.0%} of the expected velocity. "
        if shape.trees_share else ""
    )
    licence = ["license: apache-2.0"] if set(packs) <= CREDITS.keys() else []
    limits = f"{LIMITS[instrument]} " if set(packs) == CREDITS.keys() else ""
    lines = [
        "---", *licence, "library_name: duvhuman", "tags: [midi, music, expressive-performance]", "---",
        "", f"# duvhuman {instrument}", "", _headline(report), "",
        (
            f"PhraseTransformer v3 ({shape.n_layers} layers, d_model {shape.d_model}) in float16{adapter}. "
            f"It predicts the velocity and the articulation of every note of a written part. {trees}".rstrip()
        ), "",
        "## Measured", "",
        (
            f"On {report.parts} validation parts of songs that were not trained on, "
            "flattened to one velocity and written up to the next onset; mean over parts. Command: "
            f"`python -m duvhuman.train evaluate {shlex.join([instrument, *options])}`."
        ), "",
        format_report(report), "",
        "## Trained", "",
        "| stage | notes seen | epochs (best) | batch | learning rate | seed | minutes | on |",
        "|---|---|---|---|---|---|---|---|",
        *(_stage_row(entry["stage"], entry) for entry in record.get(EARLIER, [])),
        *(_stage_row(name, record[name]) for name in STAGE_NAMES if name in record), "",
        *_credits(packs),
        "## Limits", "",
        (
            f"{limits}The written lengths in training were rebuilt from the onsets, for want of scores. "
            "What remains to a player's own habits no base can know. Not for drums."
        ), "",
    ]
    try:
        write_whole(folder / CARD_FILE, "\n".join(lines))
    except OSError as error:
        what = f"{error.filename}: the model's card cannot be written ({error.strerror})"
        raise FileError(f"{what}; make it writable, or leave --cards out") from None


def _headline(report: Evaluation) -> str:
    best, floor, flat = (report.table[name] for name in (shipped_row(report.table), RIDGE, FLAT))
    return (
        f"Velocity r {best['vel_r']:.2f} (ridge floor {floor['vel_r']:.2f}), SD ratio {best['vel_sd_ratio']:.2f}, "
        f"articulation MAE {best['art_mae']:.2f} (as written {flat['art_mae']:.2f})"
    )


def _credits(packs: Collection[str]) -> list[str]:
    """Thanks to those whose packs are known here, and the names of the others."""
    lines = []
    if known := [credit for name, credit in CREDITS.items() if name in packs]:
        lines += ["Data, with thanks:", "", *known, ""]
    if others := ", ".join(sorted(set(packs) - CREDITS.keys())):
        lines += [f"Data from elsewhere: {others}. Their owner should add the source and the licence of each.", ""]
    return lines


def _stage_row(name: str, entry: Mapping[str, Any]) -> str:
    if name == AVERAGE:
        return f"| mean of the weights of {entry['models']} models |" + " - |" * 7
    config = entry["config"]
    rate = f"{config['lr']:g} ({config.get('optimizer', 'adamw')})"
    heard = "this instrument" if name in ("base", "lora") else "all instruments"
    heard = "parts played by hand" if config.get("played_only", False) else heard
    extra = ", with extra parts" * config.get("extra", False)
    balanced = ", parts more equal" * (config.get("balance", 0) > 0)
    by_trees = ", with a teacher of trees" * (config.get("teacher_weight", 0) > 0)  # in earlier records alone
    teachers = len(entry.get("teachers", ()))
    taught = f", taught by {teachers} other{'s' * (teachers > 1)}" * (teachers > 0)
    return (
        f"| {STAGE_NAMES[name]} ({heard}){extra}{balanced}{by_trees}{taught} | {entry['notes_seen']:,} "
        f"| {config['epochs']} ({entry['best_epoch']}) | {config['batch_size']} | {rate} | {config['seed']} "
        f"| {entry['minutes']:.0f} | {entry['device']} |"
    )
