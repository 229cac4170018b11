"""Models to the Hugging Face hub: what would be uploaded, whether it is whole, and the upload.

Conventions
-----------
Only files on a list are ever uploaded (`EXPORTED`), under the paths that they have below the folder that was named: a
model's own files, or those of a sub-folder per instrument. Both are what `duvhuman.models.store` looks for in a
repository, so that ``model="org/name@revision"`` plays them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from duvhuman.errors import FileError, ModelError, OptionError
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.models.files import CARD_FILE, FILES_BESIDE_MODEL, MODEL_FILES
from duvhuman.models.store import find_adapter, find_model, hub_is_off
from duvhuman.train.record import RECORD_FILE
from duvhuman.train.run.curves import CURVES_FILE
from duvhuman.train.run.history import METRICS_FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

EXPORTED = (*MODEL_FILES, *FILES_BESIDE_MODEL, RECORD_FILE, METRICS_FILE, CURVES_FILE)
"""What of a model's folder is uploaded, if it is there. Nothing pickled, and no state of a run."""
MAIN = "main"
_REPO = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(?<![.-])", re.ASCII)
_TEXT = (".json", ".md", ".csv")


@dataclass(frozen=True)
class Export:
    """What is to be uploaded.

    Attributes
    ----------
    folder : what the paths are relative to.
    models : sub-folder of each model -> its instrument; ``""`` is `folder` itself.
    files : path in the repository -> bytes.
    left : files beside them that stay here.
    """

    folder: Path
    models: Mapping[str, str]
    files: Mapping[str, int]
    left: Sequence[str]


def check_repo(repo: str) -> str:
    """`repo`; OptionError unless it is a name such as ``org/name`` that the hub accepts."""
    if not _REPO.fullmatch(repo) or len(repo) > 96 or repo.endswith(".git"):
        hint = "; the branch goes into --revision" if "@" in repo else ""
        raise OptionError(f"REPO must look like org/name (letters, digits, - _ .), not {repo!r}{hint}")
    return repo


def plan_export(folder: Path, instrument: str | None = None) -> Export:
    """Look at what would be uploaded, and check that it is whole.

    Parameters
    ----------
    folder : a model, or a folder with a model per instrument.
    instrument : the only one to take; None for all that are there.

    Raises
    ------
    ModelError
        If there is no model; if one is incomplete or damaged, does not fit this version of duvhuman, has no model
        card, or a file that names folders of this machine.
    OptionError
        If the instrument is unknown.
    """
    models = _models_in(folder, instrument)
    files: dict[str, int] = {}
    left: list[str] = []
    for place, name in models.items():
        _check_model(folder / place, name)
        prefix = f"{place}/" if place else ""
        inside = (path for path in sorted((folder / place).rglob("*")) if path.is_file())
        for path in (path.relative_to(folder / place).as_posix() for path in inside):
            if path in EXPORTED:
                files[prefix + path] = (folder / place / path).stat().st_size
            else:
                left.append(prefix + path)
    for path in files:
        _check_private(folder, path)
    return Export(folder, models, files, left)


def push(
    export: Export, repo: str, *, revision: str | None = None, private: bool = False, api: HfApi | None = None
) -> str:
    """Upload a model, in one commit that also removes those of its files which are no longer there.

    Parameters
    ----------
    revision : branch, made if it is not there; None for the main one.
    private : of the repository, if it has to be made.
    api : of the hub; by default with the token that `huggingface_hub` finds.

    Returns
    -------
    The address of the repository.

    Raises
    ------
    FileError
        If there is no token or no network, or the hub refuses.
    """
    if api is None:
        from huggingface_hub import HfApi, get_token

        if hub_is_off():
            raise FileError(f"{repo}: HF_HUB_OFFLINE is set; unset it to upload")
        if get_token() is None:
            raise FileError(
                f"{repo}: no token for the Hugging Face hub; make one with write access at "
                "https://huggingface.co/settings/tokens, then log in with `hf auth login` or set HF_TOKEN"
            )
        api = HfApi()
    prefixes = [f"{place}/" if place else "" for place in export.models]
    try:
        url = api.create_repo(repo, private=private, exist_ok=True)
        if revision not in (None, MAIN):
            api.create_branch(repo, branch=str(revision), exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=export.folder, revision=revision, allow_patterns=list(export.files),
            # A new base beside the adapter of the one before would play wrongly.
            delete_patterns=[prefix + name for prefix in prefixes for name in EXPORTED],
            commit_message=f"Upload {', '.join(export.models.values())}",
        )
    except Exception as error:  # the client's own, its HTTP library's or the disk's
        raise FileError(f"{repo}: not uploaded ({_reason(error)}); {_advice(error)}") from error
    return str(url)


def _models_in(folder: Path, instrument: str | None) -> dict[str, str]:
    """Sub-folder and instrument of each model: those that `find_model` finds there."""
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder; name one that holds a model, or a model per instrument")
    if instrument is not None:
        name = get_instrument(instrument).name
        return {"" if find_model(name, folder) == folder else name: name}
    if inside := [name for name in INSTRUMENTS if (folder / name).is_dir()]:
        return {name: name for name in inside}
    from duvhuman.models.phrase_transformer import read_config

    return {"": read_config(folder).instrument}


def _check_model(folder: Path, instrument: str) -> None:
    """Read the model as it would be read to play; ModelError if that fails."""
    from duvhuman.humanize.networks import check_fits
    from duvhuman.models.phrase_transformer import read_config
    from duvhuman.models.player import read_player

    if instrument not in INSTRUMENTS:
        raise ModelError(f"{folder}: its config.json says {instrument!r}, which is no instrument; train one from it")
    found, adapter = find_model(instrument, folder), find_adapter(instrument, "default", folder)
    if (meant := read_config(found).instrument) != instrument:
        raise ModelError(f"{folder}: its config.json says {meant!r}, not {instrument!r}")
    check_fits(found, adapter, instrument)
    read_player(found, adapter)
    try:
        card = (folder / CARD_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        card = ""
    if not card.strip():
        raise ModelError(
            f"{folder}: no model card ({CARD_FILE}) there; write it with: "
            f"python -m duvhuman.train evaluate {instrument} --model {shlex.quote(str(folder))} --cards"
        )


def _check_private(folder: Path, path: str) -> None:
    """ModelError if a text file names a folder of this machine's user."""
    if not path.endswith(_TEXT):
        return
    text = (folder / path).read_text(encoding="utf-8", errors="replace")
    own = {str(place) for place in (Path.home(), folder.resolve(), Path.cwd())}
    for place in sorted(place for place in own if len(place) > 1):
        if re.search(rf"(?<![\w.-]){re.escape(place)}(?![\w.-])", text):
            raise ModelError(f"{folder / path}: names {place}, which is nobody's business; take it out by hand")


def _reason(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _advice(error: Exception) -> str:
    """What to do about an error of the upload."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return "the token is not valid: log in with `hf auth login`, or set HF_TOKEN"
    if status in (403, 404):
        return "use a token with write access, and an organisation or user that it may write to"
    if status is not None:
        return "check the name and the revision, or try again later"
    return "check the network and the disk, then try again"
