"""What a run was told: ``run.json``, from which it is resumed.

Conventions
-----------
Paths are written down absolute, so that a run can be resumed from any folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from duvhuman import __version__
from duvhuman.errors import DataError, FileError
from duvhuman.files import write_whole
from duvhuman.train.config import TrainConfig, config_of

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Order:
    """What a run was told: everything that ``run.json`` keeps.

    Attributes
    ----------
    instrument : whose model it is, or "trunk".
    data : what ``--data`` named.
    init_from : the model it begins with, or None.
    config : stage -> its configuration, of the stages that are run, and of a base that had been finished before.
    teachers : the models that teach it.
    """

    instrument: str
    data: tuple[str, ...]
    init_from: str | None
    config: Mapping[str, TrainConfig]
    teachers: tuple[str, ...] = ()

    @property
    def start(self) -> Path | None:
        """Where the model that it begins with lies."""
        return Path(self.init_from) if self.init_from else None

    def save(self, folder: Path) -> None:
        """Write ``run.json``; FileError if it cannot be written."""
        paths = {
            "data": [_absolute(path) for path in self.data],
            "init_from": self.init_from and _absolute(self.init_from),
            "teachers": [_absolute(path) for path in self.teachers],
        }
        values = asdict(self) | paths | {"duvhuman": __version__}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / RUN_FILE, json.dumps(values, indent=1) + "\n")
        except OSError as error:
            raise FileError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from None

    @classmethod
    def read(cls, folder: Path) -> Order:
        """What the run in `folder` was told; DataError if there is none."""
        path = folder / RUN_FILE
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            config = {stage: config_of(table, str(path)) for stage, table in values["config"].items()}
            teachers = tuple(values["teachers"])
            return cls(str(values["instrument"]), tuple(values["data"]), values["init_from"], config, teachers)
        except FileNotFoundError:
            message = f"{path}: no run to resume there; name the folder of a run, or begin one without --resume"
            raise DataError(message) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: no run to resume there ({error}); start anew with --force") from None


def _absolute(path: str) -> str:
    return str(Path(path).absolute())
