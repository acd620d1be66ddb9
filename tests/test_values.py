"""Values of callers are made what they are, or refused by the argument's name."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groupnas import values
from groupnas.errors import InputError


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3), np.arange(5)[3]]
)
def test_a_whole_number_is_pythons_own(value: Any) -> None:
    made = values.whole("epochs", value, 1)
    assert made == 3 and type(made) is int


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.True_,
        np.array(True),
        torch.tensor(True),
        3.0,
        np.float64(3),
        torch.tensor(3.0),
        "3",
        b"3",
        None,
        [3],
        np.array([3]),
        torch.tensor([3]),
        float("nan"),
        3 + 0j,
        object(),
    ],
)
def test_what_is_no_whole_number(value: Any) -> None:
    with pytest.raises(InputError, match=r"^epochs: expected a whole number from 1 on, got "):
        values.whole("epochs", value, 1)


@pytest.mark.parametrize("value", [-1, 2**63, 2**80, -(2**80)])
def test_a_seed_is_one_that_torch_numpy_and_yaml_take(value: int) -> None:
    with pytest.raises(InputError, match=r"^seed: .* from 0 to 2\*\*63 - 1, got -?\d+$"):
        values.seed("seed", value)
    torch.Generator().manual_seed(values.seed("seed", 2**63 - 1))
    np.random.default_rng(values.seed("seed", 2**63 - 1))


@pytest.mark.parametrize(
    "value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)]
)
def test_a_number_is_pythons_own(value: Any) -> None:
    made = values.number("share", value, above=0, below=1)
    assert made == 0.5 and type(made) is float
    assert values.number("share", np.int64(2)) == 2.0


@pytest.mark.parametrize(
    "value",
    [
        True,
        np.False_,
        "0.5",
        None,
        float("nan"),
        np.inf,
        10**400,
        1j,
        torch.tensor(1j),
        [0.5],
        1,
        0,
    ],
)
def test_what_is_no_number_in_its_range(value: Any) -> None:
    with pytest.raises(InputError, match="^share: expected a number above 0 and below 1, got "):
        values.number("share", value, above=0, below=1)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"most": 0}, "up to 0"),
        ({"above": 1}, "above 1"),
        ({"below": 1}, "below 1"),
    ],
)
def test_limits_are_told(limits: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=f"^x: expected a number {said}, got 1$"):
        values.number("x", 1, **limits)


@pytest.mark.parametrize(
    "given", [[0, 1], (0, 1), np.arange(2), range(2), torch.arange(2), {0: "", 1: ""}.keys()]
)
def test_a_list_is_whatever_has_an_order(given: Any) -> None:
    made = values.listed("seeds", given)
    assert [values.whole("seeds", value) for value in made] == [0, 1]
    assert values.listed("seeds", (n for n in (3, 2))) == (3, 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("even", r"expected a list, got 'even'; write \['even'\]"),
        (b"even", "expected a list, got b'even'"),
        ({"even", "random"}, "expected a list, since order counts; got a set"),
        ({"even": 1}, "expected a list, got "),
        (7, "expected a list, got 7"),
        (None, "expected a list, got None"),
        (np.array(7), "expected a list, got "),
        (torch.tensor(7), "expected a list, got "),
        (itertools.count(), "expected at most 100,000 entries"),
    ],
)
def test_what_is_no_list(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=f"^strategies: {said}"):
        values.listed("strategies", given)


def test_texts_and_flags() -> None:
    made = values.names("parts", np.array(["nose", "mouth"]))
    assert made == ("nose", "mouth") and {type(name) for name in made} == {str}
    with pytest.raises(InputError, match="^parts: expected a text, got 1$"):
        values.names("parts", ["nose", 1])
    assert values.flag("resume", np.True_) is True and values.flag("resume", False) is False
    for wrong in ("no", 0, None, [False]):
        with pytest.raises(InputError, match="^resume: expected True or False, got "):
            values.flag("resume", wrong)


def test_paths(tmp_path: Path) -> None:
    for given in (tmp_path, str(tmp_path), bytes(tmp_path)):
        assert values.path("out", given) == str(tmp_path)
    for wrong in ("", "a\0b", b"", 5, None, ["a"]):
        with pytest.raises(InputError, match="^out: expected a name or a path, got "):
            values.path("out", wrong)


def test_plain_values_can_be_written_down() -> None:
    given = {
        "a": np.int64(3),
        "b": [np.float32(0.5), torch.tensor(2), np.bool_(True), None, "text", np.str_("numpy")],
        "c": {"path": Path("x")},
        "d": (1.5, 10**30),
    }
    made = values.plain("arguments", given)
    assert made == {
        "a": 3,
        "b": [0.5, 2, True, None, "text", "numpy"],
        "c": {"path": "x"},
        "d": [1.5, 10**30],
    }
    assert [type(value) for value in made["b"]] == [float, int, bool, type(None), str, str]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"a": {"b": [1, object()]}}, "arguments.a.b.1"),
        ({"a": np.arange(3)}, "arguments.a"),
        ({"a": {1, 2}}, "arguments.a"),
        ({"a": b"bytes"}, "arguments.a"),
        ({1: "a"}, "arguments"),
    ],
)
def test_what_cannot_be_written_down_is_named_by_its_place(given: Any, place: str) -> None:
    with pytest.raises(InputError, match=f"^{place}: expected "):
        values.plain("arguments", given)
