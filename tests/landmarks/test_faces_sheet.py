"""Panels show the image around the points, where it is in the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from groupnas.errors import InputError
from groupnas.landmarks.faces_sheet import SheetImage, faces_figure, plot_faces


def panel(shift: float = 0.0, title: str = "a") -> SheetImage:
    """A square of points at 40 to 60 in an image whose red tells x and whose green tells y."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(200), np.arange(100)[:, None]
    truth = np.array([[40.0, 40.0], [60.0, 40.0], [60.0, 60.0], [40.0, 60.0]])
    return SheetImage(title, image, truth, truth + shift, [((0, 1, 2, 3), True), ((0, 2), False)])


def test_the_shown_pixels_stand_where_they_are_in_the_image() -> None:
    axes = faces_figure([panel()]).axes[0]
    shown = axes.images[0]
    left, right, bottom, top = shown.get_extent()
    pixels = np.asarray(shown.get_array())
    assert pixels[0, 0, :2].tolist() == [left + 0.5, top + 0.5]
    assert pixels[-1, -1, :2].tolist() == [right - 0.5, bottom - 0.5]
    # 20 wide with 15 % around it on both sides.
    assert axes.get_xlim() == pytest.approx((37, 63)) and axes.get_ylim() == pytest.approx((63, 37))
    assert pixels.shape[1] < 30


def test_both_sets_of_points_and_their_curves() -> None:
    axes = faces_figure([panel(5.0)]).axes[0]
    truth, found = axes.lines
    assert truth.get_xdata() == pytest.approx([40, 60, 60, 40])
    assert found.get_xdata() == pytest.approx([45, 65, 65, 45])
    closed, opened = axes.collections[0].get_paths()
    assert len(closed.vertices) == 5 and len(opened.vertices) == 2


def test_points_outside_the_image() -> None:
    figure = faces_figure([panel(), panel(500.0)])
    assert len(figure.axes) == 2
    away = SheetImage("b", panel().image, panel().truth + 900, panel().truth + 900)
    assert not faces_figure([away]).axes[0].images


def test_rows_and_columns() -> None:
    figure = faces_figure([panel(title=str(n)) for n in range(5)], columns=4)
    boxes = [axes.get_position() for axes in figure.axes]
    assert len({round(box.y0, 6) for box in boxes}) == 2
    assert boxes[4].x0 == pytest.approx(boxes[0].x0) and boxes[4].y1 < boxes[0].y0


def test_saved_and_refused(tmp_path: Path) -> None:
    assert plot_faces([panel()], tmp_path / "worst.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="at least one image"):
        plot_faces([], tmp_path / "worst.png")
    with pytest.raises(InputError, match="must end in"):
        plot_faces([panel()], tmp_path / "worst")


def test_points_that_are_not_known_are_left_out() -> None:
    some = panel(5.0)
    some.truth[0] = some.found[:] = np.nan
    axes = faces_figure([some]).axes[0]
    assert axes.get_xlim() == pytest.approx((37, 63))
    some.truth[:] = np.nan
    with pytest.raises(InputError, match="^a: none of its points is known"):
        faces_figure([some])


@pytest.mark.parametrize("title", ["a$b$", "$\\foo{$", "\u4e2d\u6587", "\U0001f642", "caf\\xe9"])
def test_names_are_drawn_as_they_are(tmp_path: Path, title: str) -> None:
    """Formulas are none, and letters that the font lacks are no warnings, which are errors here."""
    sheet = plot_faces([panel(title=title)], tmp_path / "sheet.png")
    assert sheet.read_bytes().startswith(b"\x89PNG")
