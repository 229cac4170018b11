"""Which model and which adapter are taken, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duvhuman.errors import ModelError, OptionError
from duvhuman.models import store
from duvhuman.models.store import find_adapter, find_model, list_models

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_model(folder: Path, *, adapters: tuple[str, ...] = ()) -> Path:
    """A folder that looks like a model: 2 + 8 bytes, and 2 + 3 for each adapter."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(8))
    for name in adapters:
        make_adapter(folder / name)
    return folder


def make_adapter(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(bytes(3))
    return folder


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the shipped weights, and no `$DUVHUMAN_MODELS`."""
    monkeypatch.setattr(store, "BUNDLED", tmp_path / "bundled")
    monkeypatch.delenv("DUVHUMAN_MODELS", raising=False)
    return tmp_path / "bundled"


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: Path) -> Path:
    monkeypatch.setenv("DUVHUMAN_MODELS", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: Path) -> Path:
    """An empty Hugging Face cache; a download would fail the test."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "hub"


def cached_repository(hub: Path) -> Path:
    """The folder in which the cache keeps org/name at COMMIT, which is also its branch main."""
    repository = hub / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return repository / "snapshots" / COMMIT


def test_the_shipped_model_is_found_without_any_setting(bundled: Path) -> None:
    folder = make_model(bundled / "guitar")
    assert find_model("guitar") == folder


def test_an_alias_finds_its_instrument(bundled: Path) -> None:
    folder = make_model(bundled / "keys")
    assert find_model("Piano") == folder


def test_the_variable_comes_before_the_shipped_models(bundled: Path, mine: Path) -> None:
    make_model(bundled / "guitar")
    folder = make_model(mine / "guitar")
    assert find_model("guitar") == folder


def test_what_the_variable_lacks_is_taken_from_the_shipped_models(bundled: Path, mine: Path) -> None:
    make_model(mine / "guitar")
    folder = make_model(bundled / "bass")
    assert find_model("bass") == folder


def test_a_named_folder_comes_first(mine: Path, tmp_path: Path) -> None:
    make_model(mine / "guitar")
    folder = make_model(tmp_path / "named")
    assert find_model("guitar", folder) == folder
    assert find_model("guitar", str(folder)) == folder


def test_a_named_folder_may_hold_one_model_per_instrument(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "runs" / "bass")
    assert find_model("bass", tmp_path / "runs") == folder


def test_a_missing_model_says_where_it_was_looked_for_and_what_to_do(bundled: Path, mine: Path) -> None:
    with pytest.raises(ModelError, match="there is no model for strings") as raised:
        find_model("strings")
    for part in (str(mine), str(bundled), "org/name@revision", "python -m duvhuman.train strings"):
        assert part in str(raised.value)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_an_incomplete_model_is_an_error_and_not_passed_over(file: str, bundled: Path, mine: Path) -> None:
    make_model(bundled / "guitar")
    (make_model(mine / "guitar") / file).unlink()
    with pytest.raises(ModelError, match=f"no {file} there") as raised:
        find_model("guitar")
    assert str(mine / "guitar") in str(raised.value)


def test_a_folder_that_is_not_there_is_named(bundled: Path, tmp_path: Path) -> None:
    make_model(bundled / "guitar")
    with pytest.raises(ModelError, match="no such folder") as raised:
        find_model("guitar", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(raised.value)


def test_an_unknown_instrument_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="guitar"):
        find_model("guitr")


@pytest.mark.parametrize("name", ["org/name", f"org/name@{COMMIT}", "org/name@main"])
@pytest.mark.parametrize("place", ["", "guitar"], ids=["at its root", "per instrument"])
def test_a_cached_repository_is_used_offline(name: str, place: str, hub: Path) -> None:
    folder = make_model(cached_repository(hub) / place)
    assert find_model("guitar", name) == folder


def test_offline_nothing_is_downloaded(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        find_model("guitar", "org/name@v1")
    assert asked == [("org/name", "v1", "cache")]


def test_nothing_is_downloaded_without_a_revision(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    asked = fake_hub(monkeypatch)
    with pytest.raises(ModelError, match="say org/name@revision"):
        find_model("guitar", "org/name")
    assert asked == [("org/name", None, "cache")]


def test_a_pinned_repository_is_downloaded_when_it_is_not_cached(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = make_model(tmp_path / "snapshot" / "guitar")
    asked = fake_hub(monkeypatch, tmp_path / "snapshot")
    assert find_model("guitar", "org/name@v1") == folder
    assert asked == [("org/name", "v1", "cache"), *2 * [("org/name", "v1", "download")]]


def test_the_base_is_downloaded_last_so_that_half_a_download_is_not_taken_for_a_model(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    make_model(tmp_path / "snapshot" / "guitar")
    patterns: list[str] = []
    fake_hub(monkeypatch, tmp_path / "snapshot", patterns)
    find_model("guitar", "org/name@v1")
    assert patterns.index("guitar/model.safetensors") > patterns.index("guitar/adapter/adapter_model.safetensors")


def test_a_failed_download_says_why_and_what_to_check(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    fake_hub(monkeypatch)
    with pytest.raises(ModelError, match=r"org/name@v1: cannot be downloaded \(no network\); check the name"):
        find_model("guitar", "org/name@v1")


def fake_hub(
    monkeypatch: pytest.MonkeyPatch, snapshot: Path | None = None, patterns: list[str] | None = None
) -> list[tuple[str, str | None, str]]:
    """Stand in for the hub, whose cache is empty; gives the list of what it is asked for, and fills that of files."""
    wanted: list[str] = [] if patterns is None else patterns
    asked: list[tuple[str, str | None, str]] = []

    def snapshot_download(repo: str, *, revision: str | None, local_files_only: bool = False, **rest: Any) -> str:
        asked.append((repo, revision, "cache" if local_files_only else "download"))
        if local_files_only or snapshot is None:
            raise OSError("no network")
        wanted.extend(rest["allow_patterns"])
        assert all(not pattern.endswith((".bin", ".pt", ".pkl", ".py")) for pattern in wanted)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return asked


def test_the_default_adapter_is_the_one_that_came_with_the_model(tmp_path: Path) -> None:
    model = make_model(tmp_path / "guitar", adapters=("adapter",))
    assert find_adapter("guitar", "default", model) == model / "adapter"


def test_a_model_without_an_adapter_has_no_default(tmp_path: Path) -> None:
    assert find_adapter("guitar", "default", make_model(tmp_path / "guitar")) is None


def test_a_model_or_an_adapter_that_is_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="model must be a path or 'org/name', not 5"):
        find_model("guitar", 5)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="adapter must be a name or a path, not 5"):
        find_adapter("guitar", 5, make_model(tmp_path / "guitar"))  # type: ignore[arg-type]


def test_none_asks_for_the_bare_model(tmp_path: Path) -> None:
    assert find_adapter("guitar", None, make_model(tmp_path / "guitar", adapters=("adapter",))) is None


def test_an_adapter_may_be_a_folder_of_ones_own(tmp_path: Path) -> None:
    model = make_model(tmp_path / "guitar", adapters=("adapter",))
    own = make_adapter(tmp_path / "my-feel")
    assert find_adapter("guitar", own, model) == own
    assert find_adapter("guitar", f"{own}/", model) == own


def test_an_adapter_may_be_named(tmp_path: Path, mine: Path) -> None:
    model = make_model(tmp_path / "guitar", adapters=("soft",))
    assert find_adapter("guitar", "soft", model) == model / "soft"
    own = make_adapter(mine / "guitar" / "my-feel")
    assert find_adapter("guitar", "my-feel", model) == own


def test_an_unknown_adapter_lists_those_there_are(tmp_path: Path, bundled: Path) -> None:
    model = make_model(tmp_path / "guitar", adapters=("adapter", "soft"))
    with pytest.raises(ModelError, match=r"loud: no such adapter for guitar.*default, adapter, soft"):
        find_adapter("guitar", "loud", model)


@pytest.mark.parametrize("adapter", ["default", "adapter"])
@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_incomplete_adapter_is_named(adapter: str, file: str, tmp_path: Path) -> None:
    model = make_model(tmp_path / "guitar", adapters=("adapter",))
    (model / "adapter" / file).unlink()
    with pytest.raises(ModelError, match=f"no {file} there"):
        find_adapter("guitar", adapter, model)


def test_the_list_has_a_row_per_model_in_search_order(bundled: Path, mine: Path) -> None:
    make_model(bundled / "guitar", adapters=("adapter",))
    make_model(mine / "guitar")
    make_model(bundled / "bass")
    (bundled / "strings").mkdir()
    (bundled / "guitar" / "README.md").write_text(
        "---\nlicense: apache-2.0\n---\n# Guitar\n\nVelocity r 0.51, floor 0.42.\nMore.\n", encoding="utf-8"
    )
    rows = [(r.instrument, r.source, r.used, r.adapters, r.size_bytes, r.headline) for r in list_models()]
    assert rows == [
        ("guitar", "$DUVHUMAN_MODELS", True, (), 10, ""),
        ("guitar", "bundled", False, ("adapter",), 15, "Velocity r 0.51, floor 0.42."),
        ("bass", "bundled", True, (), 10, ""),
    ]


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_the_list_calls_no_model_used_that_an_incomplete_one_hides(file: str, bundled: Path, mine: Path) -> None:
    make_model(bundled / "guitar")
    (make_model(mine / "guitar") / file).unlink()
    assert [(row.source, row.used) for row in list_models()] == [("bundled", False)]


def test_adapters_alone_hide_no_model(bundled: Path, mine: Path) -> None:
    make_model(bundled / "guitar")
    make_adapter(mine / "guitar" / "me")
    assert [(row.source, row.used, row.adapters) for row in list_models()] == [("bundled", True, ("me",))]
    with pytest.raises(ModelError, match="name a folder that PEFT's save_pretrained wrote, or one of default, me$"):
        find_adapter("guitar", "you", find_model("guitar"))


def test_a_folder_that_is_but_called_as_an_adapter_hides_none(
    bundled: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(bundled / "guitar")
    make_adapter(mine / "guitar" / "me")
    (tmp_path / "work" / "me").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert find_adapter("guitar", "me", bundled / "guitar") == mine / "guitar" / "me"
    (tmp_path / "work" / "you").mkdir()
    with pytest.raises(ModelError, match="you: no adapter_config.json and no adapter_model.safetensors there"):
        find_adapter("guitar", "you", bundled / "guitar")


def test_a_home_that_is_nobodys_is_told_of(bundled: Path, tmp_path: Path) -> None:
    for name in ("model", "adapter"):
        with pytest.raises(OptionError, match="no such home directory"):
            find_model("guitar", "~nobody-of-this-name") if name == "model" else find_adapter(
                "guitar", "~nobody-of-this-name/x", tmp_path
            )
