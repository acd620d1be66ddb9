"""A small cascade with weights that are nobody's default, as a model card and as one ONNX file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import SMALL_CASCADE

from groupnas.grouping import Grouping
from groupnas.landmarks.crops import FACE_CROPS, PART_CROPS
from groupnas.landmarks.markup import MARKUPS
from groupnas.landmarks.model import StageNetwork, save_cascade
from groupnas.landmarks.roles import Gaze, Role
from groupnas.spaces.allocation import Allocation
from groupnas.spaces.space import load_space


def network_of(name: str, role: Role, variant: str | None = None) -> StageNetwork:
    """One that answers a face's shape, and that depends on what it sees."""
    space = load_space(str(SMALL_CASCADE / f"{name}.yaml"), variant)
    allocation = Allocation(space, Grouping.random(space, 1))
    torch.manual_seed(1)
    start = torch.empty(sum(space.outputs.values())).uniform_(-0.7, 0.7)
    module = allocation.build(start)
    return StageNetwork(allocation, role, module.eval())


@pytest.fixture(scope="session")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a cascade of 68 points."""
    face = Gaze.at("box", replace(FACE_CROPS, size=24))
    parts = Gaze.at("extents", replace(PART_CROPS, size=16))
    return save_cascade(
        tmp_path_factory.mktemp("cascade") / "model.json",
        {
            "global": network_of("small_global", Role(look=face)),
            "local": network_of("small_local", Role(look=parts, blend=0.75), "68"),
        },
        markup=MARKUPS[68],
        box="landmarks",
        trained={"data": "drawn", "faces": 7},
        scores={},
    )


@pytest.fixture(scope="session")
def exported(card: Path) -> Path:
    """The same cascade as an ONNX file."""
    pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
    from groupnas.landmarks.deploy.export import export_cascade

    path = card.with_name("cascade.onnx")
    export_cascade(card, path)
    return path
