"""The names of ``import duvhuman``: all there, imported late, and ``duvhuman.humanize`` both package and function.

Each access pattern runs in a process of its own, for what it finds depends on what was imported before it.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap

import pytest

import duvhuman

FAKE_API = """
    import sys, types
    api = sys.modules["duvhuman.humanize.api"] = types.ModuleType("duvhuman.humanize.api")  # the real one loads torch
    api.humanize = lambda midi, instrument, *, seed: (midi, instrument, seed)
    api.load = api.predict = api.Humanizer = len

    def works(function):
        assert function("riff.mid", "guitar", seed=7) == ("riff.mid", "guitar", 7)
"""


def run(code: str) -> str:
    """The standard output of a fresh interpreter."""
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_duvhuman_loads_nothing_heavy() -> None:
    loaded = run("import sys, duvhuman, duvhuman.humanize; print(*sorted(sys.modules))").split()
    assert not {"torch", "numpy", "safetensors", "peft", "huggingface_hub", "argparse"} & set(loaded)
    assert "duvhuman.humanize.api" not in loaded


def test_the_command_line_loads_nothing_heavy_before_a_command_needs_it() -> None:
    loaded = run("import sys, duvhuman.cli; print(*sorted(sys.modules))").split()
    assert not {"torch", "numpy", "safetensors", "peft", "huggingface_hub"} & set(loaded)


def test_every_public_name_is_there() -> None:
    for name in duvhuman.__all__:
        assert getattr(duvhuman, name) is not None
    assert set(duvhuman.__all__) <= set(dir(duvhuman))


def test_a_star_import_brings_exactly_the_public_names() -> None:
    code = """
    before = {*globals(), "before"}
    from duvhuman import *
    print(*sorted(set(globals()) - before))
    """
    assert run(textwrap.dedent(FAKE_API) + textwrap.dedent(code)).split() == sorted(duvhuman.__all__)


def test_the_errors_are_children_of_one() -> None:
    for name in ("MidiError", "OptionError", "FileError", "ModelError", "DataError"):
        assert issubclass(getattr(duvhuman, name), duvhuman.DuvhumanError)
    assert issubclass(duvhuman.DuvhumanWarning, Warning)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'duvhuman' has no attribute 'humanise'"):
        duvhuman.humanise  # noqa: B018


ACCESS_PATTERNS = {
    "attribute": """
        import duvhuman
        works(duvhuman.humanize)
        works(duvhuman.humanize)
    """,
    "from import": """
        from duvhuman import humanize
        works(humanize)
        works(humanize)
    """,
    "star import": """
        from duvhuman import *
        works(humanize)
    """,
    "submodule first": """
        import duvhuman.humanize.features
        works(duvhuman.humanize)
        from duvhuman import humanize
        works(humanize)
    """,
    "submodule between calls": """
        from duvhuman import humanize
        works(humanize)
        import duvhuman.humanize.features
        assert duvhuman.humanize.features.__name__ == "duvhuman.humanize.features"
        works(humanize)
        works(duvhuman.humanize)
        assert duvhuman.humanize is humanize
    """,
    "package under another name": """
        import duvhuman.humanize as played
        works(played)
        from duvhuman.humanize import api
        works(api.humanize)
    """,
    "import by name": """
        import importlib
        works(importlib.import_module("duvhuman.humanize"))
        import duvhuman
        works(duvhuman.humanize)
    """,
    "after the other functions": """
        from duvhuman import load, predict
        import duvhuman
        works(duvhuman.humanize)
        from duvhuman import humanize
        works(humanize)
    """,
    "by its pickle, as by a pool of processes": """
        import pickle, duvhuman
        assert pickle.loads(pickle.dumps(duvhuman.humanize)) is duvhuman.humanize
        works(duvhuman.humanize)
    """,
    "after the reload of the package": """
        import importlib, duvhuman
        works(duvhuman.humanize)
        importlib.reload(duvhuman)
        works(duvhuman.humanize)
    """,
}


@pytest.mark.parametrize("pattern", ACCESS_PATTERNS)
def test_humanize_is_callable_however_it_is_reached(pattern: str) -> None:
    run(textwrap.dedent(FAKE_API) + textwrap.dedent(ACCESS_PATTERNS[pattern]))


@pytest.mark.parametrize(
    ("before", "module"),
    [("", "decode"), ("import duvhuman; duvhuman.humanize", "score"), ("import duvhuman.humanize.score", "score")],
)
def test_what_is_inside_the_package_can_be_patched_by_its_path(before: str, module: str) -> None:
    run(
        f"""
        {before}
        import pytest
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("duvhuman.humanize.{module}.np", "patched")
            import duvhuman.humanize.{module}
            assert duvhuman.humanize.{module}.np == "patched"
        assert duvhuman.humanize.{module}.np != "patched"
        """
    )


def test_the_real_function_is_reached_before_anything_else_is_imported() -> None:
    printed = run(
        """
        import inspect, warnings
        import duvhuman
        from_the_package = inspect.signature(duvhuman.humanize)
        from duvhuman.humanize.api import humanize
        assert from_the_package == inspect.signature(humanize)
        warnings.simplefilter("ignore")
        midi = b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 0, 96]) + b"MTrk" + bytes([0, 0, 0, 4, 0, 0xFF, 0x2F, 0])
        result = duvhuman.humanize(midi, "auto", seed=7)
        assert isinstance(result, duvhuman.MidiFile)
        assert isinstance(result.report, duvhuman.Report)
        assert isinstance(duvhuman.load("auto"), duvhuman.Humanizer)
        assert isinstance(duvhuman.predict(midi, "auto"), duvhuman.Prediction)
        print(result.to_bytes() == midi, *from_the_package.parameters)
        """
    ).split()
    assert printed[:3] == ["True", "midi", "instrument"]


def test_the_help_of_humanize_names_every_argument() -> None:
    text = duvhuman.humanize.__doc__
    assert text is not None
    assert [name for name in inspect.signature(duvhuman.humanize).parameters if name not in text] == []
