"""How a flat part follows its band is learnt from parts of songs that a network does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from bands import swelling_songs
from toys import tiny_network

from duvhuman.errors import DataError
from duvhuman.humanize.company import COLUMNS as HEARD
from duvhuman.instruments import INSTRUMENTS
from duvhuman.models.company import COMPANY_FILE, load_company
from duvhuman.models.files import read_about
from duvhuman.train.__main__ import main
from duvhuman.train.company import fit
from duvhuman.train.company.fit import BATCH_PARTS, Example, fit_company, train_company
from duvhuman.train.config import TrainConfig
from duvhuman.train.data.storage import PartRow
from duvhuman.train.dataset import PhraseData
from duvhuman.train.prepare import Pack, prepare
from duvhuman.train.record import write_record
from duvhuman.train.run.feed import Feed

NOTES, COLUMNS = 64, 5


def example(seed: int, *, follows: bool) -> Example:
    """A part whose player plays along with the first column of others, or by chance."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(size=(NOTES, 1 + seed % 3, COLUMNS)).astype(np.float32)
    alone, own = rng.normal(size=(2, NOTES))
    played = alone + 2 * heard[:, :, 0].mean(axis=1) if follows else own
    return Example(heard, alone, (played - played.mean()) / played.std(), "bass")


def test_what_others_tell_is_learnt() -> None:
    errors: list[float] = []
    network = fit_company(
        [example(seed, follows=True) for seed in range(64)], report=lambda _, error: errors.append(error)
    )
    assert len(errors) == 8
    assert errors[-1] < 0.6 * errors[0]
    unknown = example(1000, follows=True)
    louder = network(torch.from_numpy(unknown.heard), "bass").detach().numpy()
    assert np.corrcoef(louder, unknown.heard[:, :, 0].mean(axis=1))[0, 1] > 0.9


def test_of_chance_nothing_is_learnt() -> None:
    network = fit_company([example(seed, follows=False) for seed in range(64)], epochs=4)
    assert network(torch.from_numpy(example(1000, follows=False).heard), "bass").std() < 0.5


def test_the_same_seed_gives_the_same_weights() -> None:
    examples = [example(seed, follows=True) for seed in range(BATCH_PARTS)]
    one, same, other = (fit_company(examples, epochs=2, seed=seed).heed.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_too_few_parts_are_refused() -> None:
    with pytest.raises(DataError, match="only 1 parts with a band, 8 are needed"):
        fit_company([example(0, follows=True)])


def test_the_command_asks_networks_that_do_not_know_the_songs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = swelling_songs(tmp_path / "songs", 40)
    prepare([Pack(songs)], tmp_path / "prepared", valid_share=0.1)
    tiny_network(std=0.2, instrument="trunk").save_pretrained(tmp_path / "trunk")
    write_record(tmp_path / "trunk", {"trunk": {"config": {"fold": "1/2"}}})
    data, teacher, out = (str(tmp_path / name) for name in ("prepared", "trunk", "out"))
    where = ["--data", data, "--teachers", teacher, "--out", out]
    assert main(["company", str(songs), *where]) == 0
    printed = capsys.readouterr().out
    first, *_, last = (float(error) for error in re.findall(r"squared error (\d+\.\d+)", printed))
    assert last < first
    assert load_company(tmp_path / "out").other[0].in_features == len(HEARD) + len(INSTRUMENTS)
    told = json.loads(read_about(tmp_path / "out" / COMPANY_FILE)["training"])
    assert (told["packs"], told["teachers"]) == (["songs"], 1)
    assert main(["company", str(tmp_path), *where]) == 1
    assert "holds no part with others that are played with dynamics" in capsys.readouterr().err
    write_record(tmp_path / "trunk", {})
    assert main(["company", str(songs), *where]) == 2
    assert "knows all songs; train one with --set trunk.fold=1/5" in capsys.readouterr().err


def test_no_teacher_is_asked_about_songs_that_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows those that the `Feed` of its run gives it."""
    asked: list[set[str]] = []

    def no_cases(data: PhraseData, folder: Path, rows: list[PartRow], max_notes: int) -> list[object]:
        asked.append({row.song for row in rows})
        return []

    monkeypatch.setattr(fit, "cases", no_cases)
    prepare([Pack(swelling_songs(tmp_path / "songs", 40))], tmp_path / "prepared", valid_share=0.1)
    data = PhraseData(tmp_path / "prepared")
    parts = data.select(split="train")
    teachers, known = [tmp_path / "a", tmp_path / "b"], []
    for teacher, fold in zip(teachers, ("1/2", "2/2"), strict=True):
        tiny_network(instrument="trunk").save_pretrained(teacher)
        write_record(teacher, {"trunk": {"config": {"fold": fold}}})
        config = TrainConfig(fold=fold, batch_size=1)
        plan = Feed(data, parts, config, max_len=128, device=torch.device("cpu")).plan(0)
        known.append({parts[index].song for index in plan.phrases[np.concatenate(plan.batches), 2]})
    with pytest.raises(DataError, match="holds no part with others"):
        train_company(data, tmp_path / "songs", teachers, tmp_path / "out", lambda _: None)
    assert asked == known[::-1]  # each knows what the other does not
    assert not known[0] & known[1]
