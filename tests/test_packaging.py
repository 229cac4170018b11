"""The package as such: what importing it loads, what its modules import, what is shipped with it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest

import duvhuman

PACKAGE = Path(duvhuman.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = {
    "arrays": 0, "errors": 0, "files": 1, "instruments": 1, "live_line": 1, "midi": 2, "models": 2, "rhythm": 3,
    "humanize": 4, "train": 5,
}
"""A module imports from lower layers and from its own sub-package. The rest (the public face, the command line, the
server) stands above `humanize` and beside `train`."""


def modules_loaded_by(statement: str) -> set[str]:
    """The top-level names in ``sys.modules`` after the statement ran in a Python of its own."""
    code = f"{statement}; import sys, json; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement", ["import duvhuman", "import duvhuman; duvhuman.__version__; dir(duvhuman)", "import duvhuman.errors"]
)
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    loaded = modules_loaded_by(statement)
    assert "duvhuman" in loaded
    assert not loaded & {"torch", "numpy", "pretty_midi", "mido", "safetensors", "peft", "huggingface_hub"}


def test_the_store_finds_models_without_torch() -> None:
    assert not modules_loaded_by("import duvhuman.models.store") & {"torch", "numpy", "peft", "huggingface_hub"}


def test_merging_adapters_does_not_load_peft() -> None:
    loaded = modules_loaded_by("import duvhuman.models.lora")
    assert "torch" in loaded
    assert not loaded & {"peft", "transformers"}


def test_the_version_is_that_of_the_installed_package() -> None:
    assert metadata("duvhuman")["Version"] == duvhuman.__version__


def test_the_licence_is_apache() -> None:
    assert metadata("duvhuman")["License-Expression"] == "Apache-2.0"


def test_no_dependency_is_a_url() -> None:
    declared = requires("duvhuman") or []
    assert any(line.startswith("torch") for line in declared)
    assert not [line for line in declared if "@" in line or "://" in line]


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def nodes_inside(tree: ast.AST, wanted: Callable[[ast.AST], bool]) -> set[ast.AST]:
    """Every node inside a node that is wanted."""
    return {inner for outer in ast.walk(tree) if wanted(outer) for inner in ast.walk(outer)}


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Every duvhuman module that a file imports when run, in full, and whether it does so late, in a function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = nodes_inside(tree, lambda node: isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    for_types = nodes_inside(tree, lambda node: isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute here"
            module = node.module or ""
            names = [f"duvhuman.{alias.name}" for alias in node.names] if module == "duvhuman" else [module]
        else:
            continue
        yield from ((name, node in late) for name in names if name.split(".")[0] == "duvhuman")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_only_downwards(path: Path) -> None:
    home = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name, late in imports_of(path):
        part = name.split(".")[1] if "." in name else ""
        if not part or part.startswith("__"):
            continue  # the version
        if part == home:
            continue
        if late and path.name == "like.py" and home == "humanize" and part == "train":
            continue  # the one way up: a player's own takes are fitted by the code that trains
        if home == "__init__" or home not in LAYERS:
            assert late or part != "train", f"{home} imports {name}, which belongs to training"
            continue
        assert part in LAYERS, f"{home} imports {name}, which stands above it"
        assert LAYERS[part] < LAYERS[home], f"{home} imports {name}, which does not stand below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without ``__init__.py`` works in a checkout and is missing from the wheel."""
    assert [path.parent for path in MODULES if not (path.parent / "__init__.py").is_file()] == []
