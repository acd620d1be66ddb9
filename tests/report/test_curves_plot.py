"""The picture of every part's error against its cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groupnas.errors import InputError
from groupnas.report.curves import plot_curves, read_curves


def result() -> dict[str, Any]:
    macs = [0.5e6, 1e6, 2e6, 4e6]
    curves = {
        group: {
            "macs": macs,
            "errors": [level / (cost / 1e6) ** 0.3 for cost in macs],
            "fitted": [{"macs": cost, "error": level / (cost / 1e6) ** 0.3} for cost in macs],
        }
        for group, level in (("eye", 4.0), ("mouth", 6.0))
    }
    return {
        "error_unit": "NME %",
        "curves": curves,
        "macs_before": {"eye": 2e6, "mouth": 2e6},
        "macs_after": {"eye": 1e6, "mouth": 3e6},
        "predicted": {
            "even": {"eye": 3.2, "mouth": 4.9, "mean": 4.0},
            "found": {"eye": 4.0, "mouth": 4.3, "mean": 3.9},
        },
    }


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_is_drawn_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    one = plot_curves(result(), tmp_path / f"one{suffix}")
    other = plot_curves(result(), tmp_path / f"other{suffix}")
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size > 5000


def test_every_part_is_in_the_picture(tmp_path: Path) -> None:
    both = plot_curves(result(), tmp_path / "both.svg").read_bytes()
    less = result()
    del less["curves"]["mouth"]
    assert len(plot_curves(less, tmp_path / "less.svg").read_bytes()) < len(both)


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(result()))
    assert read_curves(tmp_path / "result.json") == result()


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r.pop("curves"),
        lambda r: r.update(curves=[]),
        lambda r: r["curves"]["eye"]["errors"].pop(),
        lambda r: r["curves"]["eye"].update(macs="many"),
        lambda r: r["predicted"]["even"].update(eye="low"),
        lambda r: r["macs_after"].pop("mouth"),
    ],
)
def test_other_results_are_refused(tmp_path: Path, damage: Any) -> None:
    data = result()
    damage(data)
    (tmp_path / "result.json").write_text(json.dumps(data))
    with pytest.raises(
        InputError,
        match="result.json: (is not the resu|curves.eye: macs|macs_af)",
    ):
        read_curves(tmp_path / "result.json")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match="is not (JSON|the result.json of a knapsack search)"):
        read_curves(tmp_path / "result.json")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must end in"):
        plot_curves(result(), tmp_path / "curves.gif")
