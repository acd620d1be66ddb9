"""The paper's figures, from runs that were written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from groupnas.engine.strategy import load_strategy
from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.landmarks import model
from groupnas.landmarks.data.face import Face
from groupnas.landmarks.data.synthetic import FACES
from groupnas.landmarks.faces_sheet import SheetImage, faces_figure
from groupnas.landmarks.located import Located
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.paper import definition_names, figures, is_figure, render_figure
from groupnas.landmarks.paper.definition import FigureDefinition, load_definition
from groupnas.landmarks.paper.runs import read_runs
from groupnas.landmarks.paper.speed import measured
from groupnas.spaces import load_space

COUNT = 10
SPACE = load_space("picasso_local")


class Fake:
    """Finds all landmarks in the middle of the box."""

    markup, box = MARKUPS[68], "landmarks"

    def locate_many(self, faces: Iterable[tuple[np.ndarray, np.ndarray]]) -> Located:
        centres = [(box[:2] + box[2:]) / 2 for _, box in faces]
        points = np.stack([np.tile(centre, (68, 1)) for centre in centres])
        return Located({"global": points, "local": points})


def write_search(folder: Path, settings: dict[str, Any], start: Grouping, found: Grouping) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"strategy": settings}))
    start.save(folder / "initial_grouping.json")
    found.save(folder / "grouping.json")
    return folder


def widths(pdf: Path) -> list[float]:
    return [
        float(box.split()[2]) for box in re.findall(rb"/MediaBox \[([^\]]*)\]", pdf.read_bytes())
    ]


def test_speed_is_vector_in_a_column_with_its_fonts(everything: list[Path], tmp_path: Path) -> None:
    without = render_figure("figure6", [], tmp_path / "without.pdf")
    ours = render_figure("figure6", everything, tmp_path / "ours.pdf")
    again = render_figure("figure6", everything, tmp_path / "again.pdf")
    assert ours.read_bytes() == again.read_bytes() != without.read_bytes()
    for pdf in (without, ours):
        data = pdf.read_bytes()
        assert widths(pdf) == [252.0]
        assert b"/FontFile2" in data and b"/Type3" not in data  # TrueType, as submissions ask
        assert b"/Subtype /Image" not in data


def test_speed_is_ours_on_the_whole_of_wflw_alone(
    everything: list[Path], runs: ModuleType, tmp_path: Path
) -> None:
    definition = load_definition("figure6")
    assert isinstance(definition, FigureDefinition)
    assert measured(definition, read_runs([])) == (None, None, "")
    assert measured(definition, read_runs(everything)) == (0.6, 2.04, "a machine")
    other = [runs.write_evaluation(tmp_path / "e"), everything[-1]]
    assert measured(definition, read_runs(other)) == (None, 2.04, "a machine")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of plot_tetris."""
    asked: list[Any] = []
    monkeypatch.setattr(figures, "plot_tetris", lambda *given: asked.extend(given))
    return asked


def test_groupings_of_both_searches(
    runs: ModuleType, drawn: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c, d = (Grouping.random(SPACE, seed=seed) for seed in range(4))
    ours = write_search(tmp_path / "ours", runs.GUMBEL, a, b)
    theirs = write_search(tmp_path / "theirs", runs.FLGC, c, d)
    render_figure("figure7", [ours, theirs], tmp_path / "f.pdf")
    panels, _, since = drawn
    assert [grouping for _, grouping in panels] == [c, d, b]
    assert since == [None, 0, None]  # the proposed search did not start from the Gaussian state
    monkeypatch.undo()
    pdf = render_figure("figure7", [ours, theirs], tmp_path / "f.pdf")
    assert widths(pdf) == [516.0] and b"/Type3" not in pdf.read_bytes()
    with pytest.raises(InputError, match="figure7: needs a search by flgc: groupnas search --spac"):
        render_figure("figure7", [ours], tmp_path / "f.pdf")


def test_groupings_inside_a_comparison(runs: ModuleType, drawn: list[Any], tmp_path: Path) -> None:
    compared = runs.write_comparison(tmp_path / "c")
    found = [Grouping.random(SPACE, seed=seed) for seed in range(4)]
    for seed in (0, 1):
        write_search(compared / f"search/quick-s{seed}", runs.GUMBEL, found[0], found[1])
        write_search(compared / f"search/old-s{seed}", runs.FLGC, found[2], found[3])
    render_figure("figure7", [compared], tmp_path / "f.pdf")
    assert [grouping for _, grouping in drawn[0]] == [found[2], found[3], found[1]]


def test_curves_of_a_knapsack_search(tmp_path: Path) -> None:
    even = Grouping.even(SPACE)
    settings = load_strategy("knapsack").model_dump(mode="json")
    search = write_search(tmp_path / "k", settings, even, even)
    with pytest.raises(InputError, match="figure2: needs a search by knapsack"):
        render_figure("figure2", [search], tmp_path / "f.pdf")
    point = {"macs": 1e6, "error": 4.0}
    curve = {"macs": [1e6, 2e6], "errors": [4.0, 3.5], "fitted": [point, {**point, "macs": 2e6}]}
    told = {
        "error_unit": "NME %",
        "curves": {"nose": curve, "mouth": curve},
        "macs_before": {"nose": 1e6, "mouth": 1e6},
        "macs_after": {"nose": 5e5, "mouth": 15e5},
        "predicted": {when: {"nose": 4.0, "mouth": 3.8} for when in ("even", "found")},
    }
    (search / "result.json").write_text(json.dumps(told))
    pdf = render_figure("figure2", [search], tmp_path / "f.pdf")
    assert widths(pdf) == [252.0] and b"/FontFile2" in pdf.read_bytes()


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> list[Face]:
    """Ten drawn faces, all that there are."""
    few = list(FACES.faces(Path(), "test", False)[:COUNT])
    there = replace(FACES, faces=lambda root, split, partial: few)
    monkeypatch.setattr("groupnas.landmarks.paper.sheet.face_set", lambda name: there)
    monkeypatch.setattr(model, "load_cascade", lambda path: Fake())
    return few


@pytest.fixture
def evaluated(runs: ModuleType, faces: list[Face], tmp_path: Path) -> Path:
    """Their evaluation, in which every face has a larger error than the one before."""
    folder: Path = runs.write_evaluation(
        tmp_path / "e",
        data="synthetic",
        subsets={"full": (COUNT, 5.0)},
        model=runs.write_model(tmp_path / "model"),
    )
    lines = ["face,cascade_nme", *(f"{face.name},{n}.5" for n, face in enumerate(faces))]
    (folder / "faces.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("figure8", [9, 8, 7, 6, 5, 4, 3, 2]), ("figure5", [0, 1, 3, 4, 5, 6, 8, 9])],
)
def test_faces_from_the_list(
    name: str,
    chosen: list[int],
    faces: list[Face],
    evaluated: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[SheetImage] = []
    sheets: list[Figure] = []

    def watched(panels: Sequence[SheetImage]) -> Figure:
        shown.extend(panels)
        sheets.append(faces_figure(panels))
        return sheets[0]

    monkeypatch.setattr("groupnas.landmarks.paper.sheet.faces_figure", watched)
    file = render_figure(name, [evaluated], tmp_path / "f.png")
    assert file.stat().st_size > 10_000
    assert [text.get_text() for text in sheets[0].texts] == ["synthetic, not wflw"]
    assert len(shown) == len(chosen)
    for panel, number in zip(shown, chosen, strict=True):
        truth = faces[number].points
        assert np.array_equal(panel.truth, truth)
        between = np.linalg.norm(truth[45] - truth[36])
        far = np.linalg.norm(panel.found - truth, axis=1).mean() / between
        assert panel.title == f"{100 * far:.2f} %"


def test_what_faces_need(evaluated: Path, tmp_path: Path) -> None:
    (evaluated / "faces.csv").write_text("face,cascade_nme\nface99,1.0\n")
    with pytest.raises(InputError, match="face face99 is not in synthetic"):
        render_figure("figure8", [evaluated], tmp_path / "f.png")
    (evaluated / "faces.csv").write_text("face\n")
    with pytest.raises(InputError, match=r"faces.csv: is damaged: it lists no face; evaluate"):
        render_figure("figure8", [evaluated], tmp_path / "f.png")
    (evaluated / "faces.csv").write_text("face,cascade_nme\nface1,far\n")
    with pytest.raises(InputError, match=r"faces.csv: cascade_nme: is damaged: .* got .far"):
        render_figure("figure8", [evaluated], tmp_path / "f.png")


@pytest.mark.parametrize("name", [n for n in definition_names() if is_figure(n) and n != "figure6"])
def test_without_runs_says_what_it_needs(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"^{name}: needs "):
        render_figure(name, [], tmp_path / "f.pdf")
    assert not (tmp_path / "f.pdf").exists()


def test_wrong_asks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name of a picture must end in"):
        render_figure("figure6", [], tmp_path / "f.txt")
    with pytest.raises(InputError, match="table7: is a table, not a figure"):
        render_figure("table7", [], tmp_path / "f.pdf")
