"""Networks as ONNX files, through ``torch.export``."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from groupnas.deploy.network import DeployedNetwork
from groupnas.errors import InputError
from groupnas.files import atomic_path
from groupnas.onnx_tools import import_onnx
from groupnas.spaces.derive import GroupedNetwork

OPSET = 18  # the oldest that has all operators; runtimes on phones lag behind


def export_onnx(
    model: GroupedNetwork | DeployedNetwork,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
) -> None:
    """Write a network as one ONNX file, weights included.

    The file's input ``x`` is ``(N, C, H, W)`` float32, its output ``y`` ``(N, outputs)`` float32.
    The model is not changed; its evaluation mode is what is exported.

    Args:
        model: What :func:`groupnas.derive` returns. For speed, with a
            :class:`groupnas.deploy.planner.LayoutPlanner`.
        path: Of the file, whole or not at all.
        batch: N, fixed, which runtimes can plan for; any N where it is ``None``.

    Raises:
        InputError: ONNX is not installed, ``batch`` is less than 1, or the file cannot be written.
    """
    import_onnx()
    if batch is not None and batch < 1:
        raise InputError(f"batch: expected at least 1, got {batch}")
    weight = next(model.parameters())
    x = torch.zeros(batch or 2, *model.input_shape, dtype=weight.dtype, device=weight.device)
    shapes = {"x": {0: torch.export.Dim("batch")} if batch is None else {}}
    training = model.training
    try:
        with _silence():
            program = torch.onnx.export(
                model.eval(),
                (x,),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=shapes,
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        model.train(training)
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)


@contextmanager
def _silence() -> Iterator[None]:
    """Without the exporter's words on its own deprecations and on packages that it would know."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
