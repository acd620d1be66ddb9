"""groupnas.spaces.compiler: which layers the rows mean, and which of their ends share a unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from helpers import SMALL

from groupnas.errors import InputError
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.compiler import Units

Make = Callable[..., SearchSpace]


# -- units --------------------------------------------------------------------------------------


def test_the_local_network_has_19_free_units() -> None:
    """Table II: 1 stem, 4 trunks, 13 hidden widths, 1 head; t = 5, c = 24, 24, 56, 104."""
    space = load_space("picasso_local")
    hidden = {
        "stage2": [120, 120],
        "stage3": [120] + [280] * 4,
        "stage4": [280] + [520] * 5,
    }
    trunks = {"stage1": 24, "stage2": 24, "stage3": 56, "stage4": 104}
    expected = {"stem": 24, "head": 248}
    expected |= {f"{stage}.trunk": width for stage, width in trunks.items()}
    for stage, widths in hidden.items():
        expected |= {f"{stage}.block{i + 1}.hidden": width for i, width in enumerate(widths)}
    assert dict(space.free_units) == expected
    assert len(expected) == 19
    assert list(space.fixed) == ["input", "output"]
    assert next(iter(space.free_units)) == "stem"
    assert list(space.free_units)[-1] == "head"


def test_residual_additions_tie_trunks_across_rows() -> None:
    space = load_space(SMALL / "ties.yaml")
    assert dict(space.units) == {
        "input": 4,
        "stem": 7,  # and the trunks of rows one and two, of the same width without a stride
        "two.block1.hidden": 14,
        "two.block2.hidden": 14,
        "three.block1.hidden": 21,
        "three.trunk": 9,  # and the depthwise rows behind it
        "three.block2.hidden": 27,
        "head.block1": 8,
        "head.block2": 8,
        "output": 6,
    }
    ends = {layer.name: (layer.in_unit, layer.out_unit) for layer in space.layers}
    assert ends["one.block1.project"] == ("stem", "stem")
    assert ends["two.block1.project"] == ("two.block1.hidden", "stem")
    assert ends["depth.block2"] == ("three.trunk", "three.trunk")
    residuals = [block.plus == block.source for block in space.blocks[1:7]]
    assert residuals == [True] * 4 + [False, True]


def test_pooling_dilation_and_linear_layers() -> None:
    space = load_space(SMALL / "pools.yaml")
    assert list(space.free_units) == [
        "stem", "wide", "block.block1.hidden", "block.trunk", "hidden", "narrow"
    ]  # fmt: skip
    assert [layer.out_size for layer in space.layers[:6]] == [
        (12, 12),
        (5, 5),  # (12 - 3) // 2 + 1
        (5, 5),
        (5, 5),
        (4, 4),  # 5 - 2 + 1
        (4, 4),
    ]
    by_name = {layer.name: layer for layer in space.layers}
    assert by_name["whole"].kernel == 4
    assert by_name["wide"].padding == (2, 2)
    assert by_name["hidden"].taps == (1,)
    assert by_name["hidden"].act == "hardswish" and by_name["narrow"].act == "none"
    assert by_name["output"].act == "none" and not by_name["output"].bias
    assert by_name["block.block1.project"].act == "none"


def test_a_residual_addition_of_the_input_fixes_its_trunk() -> None:
    space = load_space(SMALL / "tied_input.yaml")
    assert "train.trunk" not in space.units
    assert space.fixed == {"input": (0, 0, 1), "output": (0, 1, 1)}
    projections = [layer.out_unit for layer in space.layers if layer.name.endswith("project")]
    assert projections == ["input", "input"]


@pytest.mark.parametrize(
    ("row", "units", "residuals"),
    [
        ({"op": "irb", "t": 2, "c": 4}, ["x.block1.hidden"], [True]),
        ({"op": "irb", "t": 1, "c": 4, "n": 2}, [], [True, True]),
        ({"op": "irb", "t": 1, "c": 4, "s": 2}, ["x.trunk"], [False]),
        ({"op": "irb", "t": 1, "c": 6, "n": 3}, ["x.trunk"], [False, True, True]),
        ({"op": "res3x3", "c": 4}, ["x.block1.hidden"], [True, False]),
        (
            {"op": "bottleneck3x3", "c": 8, "s": 2},
            ["x.block1.shortcut", "x.block1.squeezed", "x.block1.hidden"],
            [False] * 3,
        ),
        ({"op": "maxpool3x3_same", "s": 2}, [], [False]),
        ({"op": "conv3x3", "c": 4, "n": 2}, ["x.block1", "x.block2"], [False, False]),
        ({"op": "conv1x1", "c": 6}, ["x"], [False]),
        ({"op": "dwconv3x3", "n": 3, "s": 2}, [], [False] * 3),
        ({"op": "maxpool2x2", "s": 2}, [], [False]),
        ({"op": "avgpool"}, [], [False]),
        ({"op": "linear", "c": 5}, ["x"], [False]),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_what_a_row_adds(
    compiled: Make, row: dict[str, Any], units: list[str], residuals: list[bool]
) -> None:
    space = compiled({"name": "stem", "op": "conv3x3", "c": 4}, {"name": "x", **row})
    assert list(space.free_units) == ["stem", *units]
    assert [block.plus == block.source for block in space.blocks[1:-1]] == residuals


def test_the_first_of_a_row_has_its_stride(compiled: Make) -> None:
    space = compiled({"name": "x", "op": "conv3x3", "c": 4, "n": 3, "s": 2})
    assert [layer.stride for layer in space.layers[:3]] == [2, 1, 1]
    assert [layer.in_size for layer in space.layers] == [(8, 8), (4, 4), (4, 4), (4, 4)]
    assert space.layers[-1].taps == (16,)


@pytest.mark.parametrize(
    ("settings", "norm", "bias"),
    [
        ({}, True, False),
        ({"norm": False}, False, True),
        ({"bias": True}, True, True),
        ({"norm": False, "bias": False}, False, False),
    ],
)
def test_a_conv_has_a_bias_where_no_norm_follows(
    compiled: Make, settings: dict[str, bool], norm: bool, bias: bool
) -> None:
    for op in ({"op": "conv3x3", "c": 4}, {"op": "dwconv3x3"}):
        stem = {"name": "stem", "op": "conv1x1", "c": 4}
        layer = compiled(stem, {"name": "x", **op, **settings}).layers[1]
        assert (layer.norm, layer.bias) == (norm, bias)


def test_the_files_activation_may_be_replaced_by_the_row(compiled: Make) -> None:
    space = compiled(
        {"name": "x", "op": "conv3x3", "c": 4},
        {"name": "y", "op": "irb", "t": 2, "c": 6, "act": "none"},
        {"name": "z", "op": "linear", "c": 6, "act": "relu6"},
        act="hardswish",
    )
    acts = [layer.act for layer in space.layers]
    assert acts == ["hardswish", "none", "none", "none", "relu6", "none"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "every channel unit is the input's"),
        (
            [{"name": "x", "op": "dwconv3x3"}],
            "every channel unit is the input's",
        ),
        (
            [
                {"name": "x", "op": "conv3x3", "c": 4, "s": 2, "n": 2},
                {"name": "y", "op": "avgpool5x5"},
            ],
            r"layers\.1 \(y\): a 5 x 5 window does not fit its \(4, 4\) input",
        ),
    ],
)
def test_rows_that_mean_nothing(compiled: Make, rows: list[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compiled(*rows)


# -- the union of ends --------------------------------------------------------------------------


def test_united_ends_are_called_after_the_earliest() -> None:
    units = Units()
    for end in "abcde":
        units.new(end, 4)
    units.tie("d", "b")
    units.tie("e", "d")
    units.tie("c", "e")
    assert [units.of(end) for end in "abcde"] == ["a", "b", "b", "b", "b"]
    assert units.names() == ["a", "b"]


def test_an_end_is_new_once() -> None:
    units = Units()
    units.new("a", 4)
    with pytest.raises(InputError, match="'a' is already the name of another layer end"):
        units.new("a", 4)
