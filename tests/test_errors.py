"""One base class for all that is raised on purpose; each error is also the built-in that callers would catch."""

from __future__ import annotations

import pickle

import pytest

from duvhuman import errors

BUILT_IN = {
    "MidiError": ValueError,
    "OptionError": ValueError,
    "FileError": OSError,
    "ModelError": Exception,
    "DataError": ValueError,
}


def test_these_are_all_the_errors() -> None:
    found = {cls.__name__ for cls in errors.DuvhumanError.__subclasses__()}
    assert found == set(BUILT_IN)


@pytest.mark.parametrize(("name", "built_in"), BUILT_IN.items(), ids=BUILT_IN.keys())
def test_each_is_caught_as_our_own_and_as_the_built_in(name: str, built_in: type[Exception]) -> None:
    cls = getattr(errors, name)
    with pytest.raises(errors.DuvhumanError, match=r"^what, where, what to do$"):
        raise cls("what, where, what to do")
    with pytest.raises(built_in):
        raise cls("what, where, what to do")


@pytest.mark.parametrize("name", BUILT_IN)
def test_errors_cross_process_borders(name: str) -> None:
    error = pickle.loads(pickle.dumps(getattr(errors, name)("what, where")))
    assert type(error) is getattr(errors, name)
    assert str(error) == "what, where"


def test_the_warning_is_no_error() -> None:
    assert issubclass(errors.DuvhumanWarning, UserWarning)
    assert not issubclass(errors.DuvhumanWarning, errors.DuvhumanError)
