"""Where models and adapters are found: one name in, one folder out.

Conventions
-----------
A model is a folder with ``config.json`` and ``model.safetensors``, an adapter one with ``adapter_config.json`` and
``adapter_model.safetensors``. A model's adapters are its sub-folders; the one named ``adapter`` is its default. A
folder ``$DUVHUMAN_MODELS/<instrument>`` may also hold adapters alone, for the model that is found further on. The
search order is: the folder that was named, ``$DUVHUMAN_MODELS/<instrument>``, the models shipped with the package, the
Hugging Face cache, and a download only where ``org/name@revision`` was asked for. ``HF_HUB_OFFLINE`` is respected.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from duvhuman.errors import ModelError, OptionError
from duvhuman.files import user_path
from duvhuman.instruments import INSTRUMENTS, get_instrument
from duvhuman.models.files import (
    ADAPTER_FILES,
    ADAPTER_FOLDER,
    CARD_FILE,
    FILES_BESIDE_MODEL,
    MODEL_FILES,
    TREES_FILE,
    adapter_files,
)

MODELS_VARIABLE = "DUVHUMAN_MODELS"
BUNDLED = Path(__file__).parent / "weights"
DEFAULT_ADAPTER = "default"
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^@\s]+))?")


@dataclass(frozen=True)
class ModelRow:
    """One installed model.

    Attributes
    ----------
    instrument : what it plays.
    source : ``"$DUVHUMAN_MODELS"`` or ``"bundled"``.
    folder : where it is.
    used : whether it is the one that is taken by default (an earlier source hides a later one).
    adapters : the names of its adapters, of the used one with those that ``$DUVHUMAN_MODELS`` holds for it.
    size_bytes : of the base, its own trees and its own adapters together.
    headline : the first plain line of its README.md, or "".
    """

    instrument: str
    source: str
    folder: Path
    used: bool
    adapters: tuple[str, ...]
    size_bytes: int
    headline: str


def find_model(instrument: str, model: str | PathLike[str] | None = None) -> Path:
    """The folder of the model that plays `instrument`.

    Parameters
    ----------
    instrument : a name or alias of `duvhuman.instruments`.
    model : None for the search order; a folder that holds a model or has a sub-folder per instrument; or
        ``"org/name"`` (Hugging Face cache only), ``"org/name@revision"`` (downloaded if it is not in the cache).

    Raises
    ------
    ModelError
        If there is none, or one of its files is missing.
    OptionError
        If the instrument is unknown.
    """
    name = get_instrument(instrument).name
    if model is not None:
        if not isinstance(model, (str, PathLike)):
            raise OptionError(f"model must be a path or 'org/name', not {model!r}")
        folder = user_path(model)
        if folder.is_dir():
            return _model_in(folder, name)
        if isinstance(model, str) and (match := _REPOSITORY.fullmatch(model)):
            return _model_from_hub(match["repo"], match["revision"], name)
        raise ModelError(f"{model}: no such folder; name a folder that holds a model, or org/name@revision")
    if (default := _default_folder(name)) is not None:
        return _checked(default, MODEL_FILES, "model")
    raise ModelError(
        f"there is no model for {name}: neither in ${MODELS_VARIABLE} ({os.environ.get(MODELS_VARIABLE) or 'not set'}) "
        f"nor in {BUNDLED}. Install duvhuman anew, name a folder or org/name@revision as the model, or train one with "
        f"`python -m duvhuman.train {name}`"
    )


def find_adapter(instrument: str, adapter: str | PathLike[str] | None, model_folder: Path) -> Path | None:
    """The folder of an adapter for the model in `model_folder`, or None for the bare model.

    Parameters
    ----------
    instrument : a name or alias of `duvhuman.instruments`.
    adapter : None for no adapter; ``"default"`` for the one that came with the model, if one did; a folder; or the
        name of a sub-folder of the model or of ``$DUVHUMAN_MODELS/<instrument>``.
    model_folder : what `find_model` gave.

    Raises
    ------
    ModelError
        If there is no such adapter, or one of its files is missing.
    OptionError
        If the instrument is unknown.
    """
    name = get_instrument(instrument).name
    if adapter is None:
        return None
    if not isinstance(adapter, (str, PathLike)):
        raise OptionError(f"adapter must be a name or a path, not {adapter!r}")
    if adapter == DEFAULT_ADAPTER:
        own = model_folder / ADAPTER_FOLDER
        return _checked(own, ADAPTER_FILES, "adapter") if own.is_dir() else None
    places = (model_folder, *(root / name for _, root in _roots()))
    folders = [folder for folder in (user_path(adapter), *(place / adapter for place in places)) if folder.is_dir()]
    for folder in folders:
        if any((folder / file).is_file() for file in ADAPTER_FILES):  # others may but be called so
            return _checked(folder, ADAPTER_FILES, "adapter")
    if folders:
        return _checked(folders[0], ADAPTER_FILES, "adapter")
    known = ", ".join(dict.fromkeys((DEFAULT_ADAPTER, *(one for place in places for one in _adapters(place)))))
    raise ModelError(
        f"{adapter}: no such adapter for {name}; name a folder that PEFT's save_pretrained wrote, or one of {known}"
    )


def list_models() -> list[ModelRow]:
    """Every installed model, by instrument and then in search order; what is incomplete is left out."""
    rows: list[ModelRow] = []
    for name in INSTRUMENTS:
        apart = [root / name for _, root in _roots() if _holds_adapters_alone(root / name)]
        for source, root in _roots():
            folder = root / name
            if all((folder / file).is_file() for file in MODEL_FILES):
                adapters = _adapters(folder)
                files = [folder / file for file in MODEL_FILES]
                files += [file for adapter in adapters for file in adapter_files(folder / adapter)]
                if (own := folder / TREES_FILE).is_file():
                    files.append(own)
                size = sum(file.stat().st_size for file in files)
                used = folder == _default_folder(name)
                more = tuple(adapter for place in apart if used for adapter in _adapters(place))
                adapters = tuple(dict.fromkeys(adapters + more))
                rows.append(ModelRow(name, source, folder, used, adapters, size, _headline(folder / CARD_FILE)))
    return rows


def _roots() -> list[tuple[str, Path]]:
    """The folders that hold one model per instrument, in search order, and what each is called."""
    mine = os.environ.get(MODELS_VARIABLE)
    roots = [(f"${MODELS_VARIABLE}", user_path(mine))] if mine else []
    return [*roots, ("bundled", BUNDLED)]


def _default_folder(instrument: str) -> Path | None:
    """The first folder that is for models of the instrument, complete or not; adapters alone are for a later one."""
    folders = (root / instrument for _, root in _roots())
    return next((folder for folder in folders if folder.is_dir() and not _holds_adapters_alone(folder)), None)


def _model_in(folder: Path, instrument: str) -> Path:
    """The model for the instrument in its own sub-folder, or else in the folder itself."""
    own = folder / instrument
    return _checked(own if own.is_dir() else folder, MODEL_FILES, "model")


def _checked(folder: Path, files: tuple[str, ...], kind: str) -> Path:
    """The folder, if it holds these files; else ModelError. An incomplete one is not passed over in silence."""
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise ModelError(f"{folder}: no {' and no '.join(missing)} there; name a folder that holds a complete {kind}")
    return folder


def _holds_adapters_alone(folder: Path) -> bool:
    """Whether a folder has adapters for a model that lies elsewhere: a user's own, on the one that is shipped."""
    return bool(_adapters(folder)) and not any((folder / file).is_file() for file in MODEL_FILES)


def _adapters(folder: Path) -> tuple[str, ...]:
    """The names of the complete adapters of a model."""
    found = (path.parent for path in sorted(folder.glob(f"*/{ADAPTER_FILES[0]}")))
    return tuple(path.name for path in found if (path / ADAPTER_FILES[1]).is_file())


def _headline(card: Path) -> str:
    """The first line of a model card that is neither front matter, heading, table nor empty."""
    try:
        text = card.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    lines = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).splitlines()
    return next((line.strip() for line in lines if line.strip() and line[0] not in "#|<!-"), "")


def hub_is_off() -> bool:
    """Whether ``HF_HUB_OFFLINE`` says that the Hugging Face hub is not to be asked, in its own words for yes."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _model_from_hub(repo: str, revision: str | None, instrument: str) -> Path:
    """The model in a Hugging Face repository: from the cache, or downloaded where a revision pins what is run."""
    from huggingface_hub import snapshot_download

    # A repository holds one model, or one sub-folder per instrument. The base comes last: where it is in the cache, all
    # is.
    wanted = [[f"{place}{name}" for place in ("", f"{instrument}/") for name in names]
              for names in (FILES_BESIDE_MODEL, MODEL_FILES)]
    try:
        return _model_in(Path(snapshot_download(repo, revision=revision, local_files_only=True)), instrument)
    except (OSError, ValueError, ModelError):
        pass  # not in the cache, or not all of it
    name = f"{repo}@{revision}" if revision else repo
    if revision is None:
        raise ModelError(f"{name}: neither a folder nor in the Hugging Face cache; to download it, say {repo}@revision")
    if hub_is_off():
        raise ModelError(f"{name}: not in the Hugging Face cache, and HF_HUB_OFFLINE is set; unset it to download")
    try:
        for files in wanted:
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files))
    except Exception as error:  # the client's own, its HTTP library's or the disk's: what helps is the same
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        advice = "check the name, the revision and the network"
        raise ModelError(f"{name}: cannot be downloaded ({reason}); {advice}") from error
    return _model_in(folder, instrument)
