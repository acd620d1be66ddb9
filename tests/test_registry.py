"""Names that packages offer; what is wrong with one is tested with strategies and data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import install

from groupnas.errors import InputError
from groupnas.registry import Registry

PLACES = Registry[Path]("tests.places", "place", lambda found: isinstance(found, Path), "Path")


def test_names_are_those_of_all_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(PLACES) == [] and "here" not in PLACES
    (tmp_path / "places.py").write_text("from pathlib import Path\nHERE = Path('here')\n")
    install(tmp_path, "one", "tests.places", "there = places:THERE", "here = places:HERE")
    install(
        tmp_path,
        "two",
        "tests.places",
        "here = places:HERE",
        "far = gone:FAR",
        "there = gone:THERE",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(PLACES) == ["far", "here", "there"] and len(PLACES) == 3
    assert PLACES.find("here") == Path("here")  # both mean the same
    for name, message in {
        "her": "^unknown place 'her'; did you mean 'here'[?] choose from: far, here, there$",
        "far": "^place 'far' cannot be loaded: gone:FAR: No module named 'gone'$",
        "there": "^place 'there' is offered twice: .*; uninstall one of the packages$",
    }.items():
        with pytest.raises(InputError, match=message):
            PLACES.find(name)
    monkeypatch.undo()
    assert list(PLACES) == []
