"""benchmarks/README.md has every script once, with what it showed and when."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "benchmarks"


def rows() -> dict[str, list[str]]:
    """The cells behind every script's name."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if named := re.fullmatch(r"`(\w+\.py)`", cells[0]):
            assert named[1] not in found, f"{named[1]} stands twice"
            found[named[1]] = cells[1:]
    return found


def test_every_script_is_in_the_index() -> None:
    assert sorted(rows()) == sorted(file.name for file in FOLDER.glob("*.py"))


def test_every_script_says_what_it_shows_when_and_where() -> None:
    for name, cells in rows().items():
        assert len(cells) == 5 and cells[0], name
        called = "__main__" in (FOLDER / name).read_text(encoding="utf-8")
        _, result, recorded, *_ = cells
        assert called == all(cells), name  # a script that others import has no result of its own
        dated = re.search(r"\b\d{4}-\d\d-\d\d\b", recorded) is not None
        assert dated == (called and result != "not recorded"), name
