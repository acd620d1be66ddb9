"""Bars show the shares, and nothing overlaps or is cut off."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.palette import look
from groupnas.report.layout import GAP, TetrisLayout
from groupnas.report.tetris import plot_tetris, tetris_figure

FACE = ("left_eye", "right_eye", "nose", "mouth")
LOCAL = {
    "stem": 24,
    "stage1.trunk": 24,
    "stage2.trunk": 24,
    **{f"stage2.block{block}.hidden": 120 for block in (1, 2)},
    "stage3.trunk": 56,
    "stage3.block1.hidden": 120,
    **{f"stage3.block{block}.hidden": 280 for block in range(2, 6)},
    "stage4.trunk": 104,
    "stage4.block1.hidden": 280,
    **{f"stage4.block{block}.hidden": 520 for block in range(2, 7)},
    "head": 248,
}


def drawn(units: dict[str, int], groups: tuple[str, ...], seed: int = 0) -> Grouping:
    """A random grouping in which every unit has its own shares."""
    draw = random.Random(seed)
    assignments = {}
    for unit, channels in units.items():
        weights = [draw.random() ** 2 for _ in groups]
        rest = draw.choices(range(len(groups)), weights, k=channels - len(groups))
        assignments[unit] = [*range(len(groups)), *rest]
    return Grouping("x", groups, assignments)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def cells(figure: Figure, layout: TetrisLayout) -> list[Rectangle]:
    """The rectangles that are parts of bars, not swatches."""
    wide = layout.bar - GAP
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    return [patch for patch in patches if patch.get_width() == pytest.approx(wide)]


def check_readable(figure: Figure) -> None:
    """No text overlaps another or the figure's edge."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.axes[0].texts]
    for text, box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text
    for (one, box), (other, other_box) in itertools.combinations(boxes, 2):
        wide = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        tall = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        # A box is higher than its glyphs by up to a point of ascent and descent.
        assert wide <= 0.1 or tall <= 1.5 * figure.dpi / 72, f"{one!r} overlaps {other!r}"


def test_bars_are_stacked_in_the_order_of_groups() -> None:
    grouping = Grouping("x", ("a", "b", "c"), {"one": [0, 1, 1, 2], "two": [2] * 8 + [0, 1]})
    layout = TetrisLayout.of(grouping)
    bars = cells(tetris_figure([("", grouping)]), layout)
    assert [to_hex(cell.get_facecolor()) for cell in bars] == [look(i).colour for i in range(3)] * 2
    shares = [0.25, 0.5, 0.25, 0.1, 0.1, 0.8]
    for cell, share in zip(bars, shares, strict=True):
        assert cell.get_height() + GAP == pytest.approx(share * layout.tall)
    bottoms = [cell.get_y() - GAP / 2 - bars[0].get_y() + GAP / 2 for cell in bars]
    assert bottoms == pytest.approx([layout.tall * at for at in (0, 0.25, 0.75, 0, 0.1, 0.2)])
    assert bars[3].get_x() - bars[0].get_x() == pytest.approx(layout.bar)


def test_a_single_channel_of_many_is_still_drawn() -> None:
    grouping = Grouping("x", ("a", "b"), {"wide": [0] * 2000 + [1]})
    bars = cells(tetris_figure([("", grouping)]), TetrisLayout.of(grouping))
    assert bars[1].get_height() == pytest.approx(100 / 2001 / 2 * 1.5, rel=0.01)
    assert "1" not in texts(tetris_figure([("", grouping)]))  # no room for its number


def test_numbers_labels_brackets_and_legend() -> None:
    grouping = drawn(LOCAL, FACE)
    figure = tetris_figure([("start", grouping)])
    shown = texts(figure)
    assert shown[0] == "start"
    assert [text for text in shown if text.startswith("stage")] == [
        "stage1.trunk",  # alone, so without a bracket
        "stage2",
        "stage3",
        "stage4",
    ]
    assert shown.count("block2.hidden") == 3 and shown.count("trunk") == 3
    assert [text for text in shown if text in FACE] == list(reversed(FACE))
    assert shown.count("520") == 5 and shown.count("channels") == 1
    assert {"0 %", "25 %", "50 %", "75 %", "100 %"} <= set(shown)


def test_panels_with_the_same_units_share_their_frame() -> None:
    figure = tetris_figure([("one", drawn(LOCAL, FACE)), ("two", drawn(LOCAL, FACE, 1))])
    shown = texts(figure)
    assert "(a) one" in shown and "(b) two" in shown
    assert shown.count("stage2") == shown.count("channels") == shown.count("nose") == 1


def test_panels_with_other_units_have_their_own() -> None:
    other = drawn({"stage2.a": 9, "stage2.b": 12}, FACE)
    shown = texts(tetris_figure([("one", drawn(LOCAL, FACE)), ("two", other)]))
    assert shown.count("stage2") == shown.count("channels") == 2
    assert shown.count("nose") == 1
    assert not [text for text in shown if "moved" in text]
    shown = texts(tetris_figure([("one", drawn(LOCAL, FACE)), ("two", drawn(LOCAL, FACE[::-1]))]))
    assert shown.count("nose") == 2


def test_the_change_is_told() -> None:
    start = Grouping("x", ("a", "b"), {"one": [0, 0, 0, 1], "two": [0, 1, 1, 1, 1, 1]})
    end = Grouping("x", ("a", "b"), {"one": [0, 0, 1, 1], "two": [1, 0, 1, 1, 1, 1]})
    shown = texts(tetris_figure([("s", start), ("e", end), ("s", start)]))
    assert "3 of 10 channels moved since (a)" in shown
    assert "−10.0" in shown and "+10.0" in shown and "points of the share of channels" in shown
    assert "no channel moved since (a)" in shown
    shown = texts(tetris_figure([("s", start), ("e", end), ("s", start)], since=[None, None, 1]))
    assert "3 of 10 channels moved since (b)" in shown and not any("(a) " in t for t in shown[1:])


def test_no_negative_zero() -> None:
    start = Grouping("x", ("a", "b"), {"one": [0, 0, 1, 1]})
    end = Grouping("x", ("a", "b"), {"one": [1, 0, 0, 1]})
    assert texts(tetris_figure([("s", start), ("e", end)])).count("+0.0") == 2


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_the_flagship_figure_is_readable(panels: int) -> None:
    figure = tetris_figure([(f"panel {seed}", drawn(LOCAL, FACE, seed)) for seed in range(panels)])
    assert figure.get_figwidth() == pytest.approx(516 / 72)  # a page's width
    check_readable(figure)


NAME = st.text("abmW_.-0 $", min_size=1, max_size=40)


@settings(max_examples=20)
@given(
    st.dictionaries(NAME, st.integers(30, 3000), min_size=1, max_size=60),
    st.lists(NAME, min_size=2, max_size=26, unique=True),
    NAME,
)
def test_any_figure_is_readable(units: dict[str, int], groups: list[str], title: str) -> None:
    panels = [(title, drawn(units, tuple(groups), seed)) for seed in (0, 1)]
    check_readable(tetris_figure(panels))


@pytest.mark.parametrize("groups", range(2, 13))
def test_stages_of_any_depth_are_readable(groups: int) -> None:
    units = {f"features.{i // 9}.conv{i}": 32 * groups for i in range(40)} | {"head": 2048}
    names = tuple(f"part {index}" for index in range(groups))
    check_readable(tetris_figure([("", drawn(units, names)), ("", drawn({"a": 12}, names))]))


def test_saved_twice_the_same(tmp_path: Path) -> None:
    panels = [("start", drawn({"a": 20, "b.c": 40}, tuple(f"g{i}" for i in range(14))))]
    one, two = plot_tetris(panels, tmp_path / "1.svg"), plot_tetris(panels, tmp_path / "2.svg")
    assert one.read_bytes() == two.read_bytes()


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one grouping"):
        plot_tetris([], tmp_path / "a.png")
    with pytest.raises(InputError, match="must end in"):
        plot_tetris([], tmp_path / "a.gif")
