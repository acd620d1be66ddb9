"""The declarative files of reports/ name what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import groupnas.report

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_report(path: Path) -> None:
    report = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(report) == {"figure", "title", "caption", "plot", "runs", "panels"}
    assert report["plot"] in groupnas.report.__all__
    for panel in report["panels"]:
        assert set(panel) == {"title", "run", "file"}
        assert panel["run"] in report["runs"]
        assert panel["file"] in ("initial_grouping.json", "grouping.json")
