"""The upload to the Hugging Face hub, and the command that does it or shows it."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_folders import WHOLE, make_run
from toys import same_weights, weights

from duvhuman.errors import DuvhumanError, FileError
from duvhuman.models.files import ADAPTER_FILES, MODEL_FILES
from duvhuman.models.phrase_transformer import PhraseTransformer
from duvhuman.models.store import find_adapter, find_model
from duvhuman.train.__main__ import main
from duvhuman.train.export_hub import plan_export, push


class RefusedError(Exception):
    """An error of the hub with a status, such as its client raises."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.response = SimpleNamespace(status_code=status)


class FakeHub:
    """A repository in a folder, with the calls of `huggingface_hub.HfApi` that are used."""

    def __init__(self, root: Path, error: Exception | None = None) -> None:
        self.root, self.error = root, error
        self.calls: list[tuple[str, Any]] = []

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        if self.error is not None:
            raise self.error
        self.calls.append(("create_repo", (repo_id, private, exist_ok)))
        return f"https://huggingface.co/{repo_id}"

    def create_branch(self, repo_id: str, *, branch: str, exist_ok: bool) -> None:
        self.calls.append(("create_branch", (repo_id, branch, exist_ok)))

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, revision: str | None, allow_patterns: list[str],
        delete_patterns: list[str], commit_message: str,
    ) -> None:
        self.calls.append(("upload_folder", (repo_id, revision, commit_message)))
        for path in self.files():
            if any(fnmatch(path, pattern) for pattern in delete_patterns):
                (self.root / path).unlink()
        for source in (path for path in folder_path.rglob("*") if path.is_file()):
            path = source.relative_to(folder_path).as_posix()
            if any(fnmatch(path, pattern) for pattern in allow_patterns):
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, self.root / path)

    def files(self) -> set[str]:
        return {path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    (tmp_path / "hub").mkdir()
    return FakeHub(tmp_path / "hub")


@pytest.fixture
def used_hub(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The hub that `HfApi()` gives, to somebody with a token."""
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return hub


def test_pushing_makes_the_repository_and_the_branch_and_uploads_the_list(tmp_path: Path, hub: FakeHub) -> None:
    export = plan_export(make_run(tmp_path / "guitar"))
    url = push(export, "org/name", revision="v2", private=True, api=hub)  # type: ignore[arg-type]
    assert url == "https://huggingface.co/org/name"
    assert hub.calls == [
        ("create_repo", ("org/name", True, True)),
        ("create_branch", ("org/name", "v2", True)),
        ("upload_folder", ("org/name", "v2", "Upload guitar")),
    ]
    assert hub.files() == WHOLE


def test_no_branch_is_made_for_main(tmp_path: Path, hub: FakeHub) -> None:
    for revision in (None, "main"):
        push(plan_export(make_run(tmp_path / f"{revision}")), "org/name", revision=revision, api=hub)  # type: ignore[arg-type]
    assert not [call for call in hub.calls if call[0] == "create_branch"]


def test_the_adapter_of_the_model_before_does_not_stay_beside_a_new_base(tmp_path: Path, hub: FakeHub) -> None:
    run = make_run(tmp_path / "runs" / "guitar")
    make_run(tmp_path / "runs" / "bass", "bass")
    push(plan_export(tmp_path / "runs"), "org/name", api=hub)  # type: ignore[arg-type]
    (hub.root / ".gitattributes").write_text("the hub's own")
    shutil.rmtree(run / "adapter")
    push(plan_export(tmp_path / "runs", "guitar"), "org/name", api=hub)  # type: ignore[arg-type]
    guitar = {path for path in WHOLE if not path.startswith("adapter/")}
    assert hub.files() == {".gitattributes", *(f"guitar/{p}" for p in guitar), *(f"bass/{p}" for p in WHOLE)}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RefusedError(401, "Invalid user token.\nmore"), r"\(Invalid user token.\); the token is not valid.*HF_TOKEN"),
        (RefusedError(403, "Forbidden"), "Forbidden.*write access"),
        (RefusedError(404, "Not Found"), "Not Found.*write access"),
        (RefusedError(500, "Internal"), "Internal.*later"),
        (ConnectionError("no route to host"), "no route to host.*check the network"),
        (TimeoutError(), "TimeoutError.*check the network"),
    ],
    ids=["bad token", "forbidden", "not found", "server", "no network", "timeout"],
)
def test_a_failed_upload_says_why_and_what_to_do(tmp_path: Path, error: Exception, told: str) -> None:
    export = plan_export(make_run(tmp_path / "guitar"))
    with pytest.raises(FileError, match=f"org/name: not uploaded {told}" if told[0] == "\\" else told) as caught:
        push(export, "org/name", api=FakeHub(tmp_path, error))  # type: ignore[arg-type]
    assert isinstance(caught.value, DuvhumanError)


def test_without_a_token_it_is_told_how_to_get_one(
    tmp_path: Path, used_hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(FileError, match="no token.*hf auth login"):
        push(plan_export(make_run(tmp_path / "guitar")), "org/name")
    assert used_hub.calls == []


def test_offline_nothing_is_tried(tmp_path: Path, used_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileError, match="HF_HUB_OFFLINE is set"):
        push(plan_export(make_run(tmp_path / "guitar")), "org/name")
    assert used_hub.calls == []


def test_by_default_the_command_only_shows(
    tmp_path: Path, used_hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "my runs" / "guitar")
    assert main(["export-to-hub", "org/name", "--model", str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    size = (run / "model.safetensors").stat().st_size
    assert lines[0] == f"{run} -> org/name@main"
    assert [f"{size:,} bytes" in line for line in lines if "  model.safetensors" in line] == [True]
    assert "9 files, " in lines[-4]
    assert lines[-3].startswith("not uploaded: ")
    assert "state.pt" in lines[-3]
    assert lines[-1] == f"  python -m duvhuman.train export-to-hub org/name --model '{run}' --push"
    assert used_hub.calls == []


def test_the_command_that_is_shown_uploads(
    tmp_path: Path, used_hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "guitar")
    assert main(["export-to-hub", "org/name", "--model", str(run), "--revision", "v2", "--push"]) == 0
    assert used_hub.files() == WHOLE
    out = capsys.readouterr().out
    assert "uploaded to https://huggingface.co/org/name" in out
    assert "--model org/name@v2" in out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["name"], 2, "org/name"),
        (["org/name", "--revision", "my branch"], 2, "--revision"),
        (["org/name", "--instrument", "drums"], 2, "drums"),
        (["org/name", "--instrument", "bass"], 1, "'guitar', not 'bass'"),
    ],
)
def test_mistakes_are_told_and_nothing_is_uploaded(
    arguments: list[str], code: int, told: str, tmp_path: Path, used_hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "guitar")
    assert main(["export-to-hub", *arguments, "--model", str(run), "--push"]) == code
    assert told in capsys.readouterr().err
    assert used_hub.calls == []


@pytest.mark.parametrize("several", [False, True], ids=["one model", "a model per instrument"])
def test_what_is_exported_is_what_the_store_finds(
    several: bool, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "runs" / "guitar")
    push(plan_export(tmp_path / "runs" if several else run), "org/name", api=hub)  # type: ignore[arg-type]

    def snapshot_download(repo: str, *, revision: str, local_files_only: bool = False, **options: Any) -> str:
        """A snapshot of the files that are asked for."""
        if local_files_only:
            raise FileNotFoundError
        snapshot = tmp_path / "snapshot"
        for path in hub.files():
            if any(fnmatch(path, pattern) for pattern in options["allow_patterns"]):
                (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(hub.root / path, snapshot / path)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = find_model("guitar", "org/name@main")
    assert all((found / name).is_file() for name in MODEL_FILES)
    adapter = find_adapter("guitar", "default", found)
    assert adapter is not None
    assert all((adapter / name).is_file() for name in ADAPTER_FILES)
    one, other = (weights(PhraseTransformer.from_pretrained(folder)) for folder in (found, run))
    assert same_weights(one, other)
