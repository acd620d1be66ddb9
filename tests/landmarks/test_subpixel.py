"""Heatmaps as a stage's answer: spaces, tasks, cascades, and the recipe that ships."""

from __future__ import annotations

from groupnas.landmarks.markup import MARKUPS
from groupnas.spaces import load_space
from groupnas.spaces.space import variant_names


def test_markups_pick_the_maps() -> None:
    for name in ("subpixel", "subpixel_quick"):
        assert set(variant_names(name)) == {str(points) for points in MARKUPS}
        for points, markup in MARKUPS.items():
            parts = {part: len(indices) for part, indices in markup.parts.items()}
            space = load_space(name, str(points))
            assert dict(space.outputs) == {**parts, "contour": len(markup.contour)}
            assert dict(space.inputs) == {"shared": 3}
            side = space.input_size[0] // 4
            assert space.output_size == (side, side)
