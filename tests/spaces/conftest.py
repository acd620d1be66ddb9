"""Small spaces for all tests of this folder, and a way to make one more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groupnas.schema import validate
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.schema import SpaceFile, read_space_file

SMALL = sorted((Path(__file__).parent / "small").glob("*.yaml"))
PICASSO = Path(__file__).parents[2] / "search_spaces" / "picasso_local.yaml"


def _reduced_picasso() -> SearchSpace:
    """All layers and units of the local network, on crops of 16 x 16."""
    file = read_space_file(PICASSO).model_copy(update={"input": (16, 16)})
    return SearchSpace.from_file(file, "picasso_local")


@pytest.fixture(params=[*SMALL, None], ids=lambda path: path.stem if path else "picasso_local")
def space(request: pytest.FixtureRequest) -> SearchSpace:
    """Each of the small spaces in turn, and the reduced local network."""
    return load_space(request.param) if request.param else _reduced_picasso()


@pytest.fixture
def compiled() -> Callable[..., SearchSpace]:
    """A space of ``layers``; whatever else a file has may be given by name.

    Two groups, 1 + 1 inputs, 2 + 2 outputs, 8 x 8; the last row, the output, is added.
    """

    def make(*layers: dict[str, Any], **settings: Any) -> SearchSpace:
        data = {
            "format": 1,
            "title": "test",
            "input": [8, 8],
            "groups": ["a", "b"],
            "inputs": {"a": 1, "b": 1},
            "outputs": {"a": 2, "b": 2},
            "layers": [*layers, {"name": "output", "op": "linear"}],
            **settings,
        }
        return SearchSpace.from_file(validate(SpaceFile, data, "test"), "test")

    return make
