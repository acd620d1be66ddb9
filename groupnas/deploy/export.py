"""Networks as ONNX files, through ``torch.export``."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import cast

import torch
from torch import nn

from groupnas.errors import InputError
from groupnas.formats import MODEL, check_suffix
from groupnas.onnx_tools import import_exporter, import_onnx
from groupnas.values import path as path_of
from groupnas.values import whole
from groupnas.writing import atomic_path

OPSET = 18  # the oldest that has all operators; runtimes on phones lag behind


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
) -> None:
    """Write a network as one ONNX file, weights included.

    The file's input ``x`` is ``(N, C, H, W)`` float32, its output ``y`` ``(N, outputs)`` float32.
    The model is not changed; its evaluation mode is what is exported.

    Args:
        model: What :func:`groupnas.derive` returns. For speed, with a
            :class:`groupnas.deploy.planner.LayoutPlanner`. Any module does that says its
            ``input_shape`` ``(C, H, W)`` as they do.
        path: Of the file, whole or not at all.
        batch: N, fixed, which runtimes can plan for; any N where it is ``None``.

    Raises:
        InputError: the file's name does not end in ``.onnx``, ONNX is not installed, ``batch`` is
            less than 1, the file cannot be written, or the network's weights are not float32, not
            all finite, or on the meta device.
    """
    path = path_of("path", path)
    check_suffix(path, MODEL, "an ONNX file")
    import_onnx()
    import_exporter()
    batch = None if batch is None else whole("batch", batch, 1)
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "input_shape"):
        raise InputError(f"model: expected what derive() returns, got a {type(model).__name__}")
    _check_weights(model)
    weight = next(model.parameters())
    shape = cast(tuple[int, int, int], model.input_shape)
    x = torch.zeros(batch or 2, *shape, dtype=weight.dtype, device=weight.device)
    shapes = {"x": {0: torch.export.Dim("batch")} if batch is None else {}}
    training = model.training
    try:
        # The exporter makes tensors of its own, wherever the surroundings would have them.
        with _silence(), torch.inference_mode(False), torch.device("cpu"):
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


def _check_weights(model: nn.Module) -> None:
    """Raise :class:`InputError` where a file would not run, or would answer no numbers."""
    for name, value in chain(model.named_parameters(), model.named_buffers()):
        if not value.is_floating_point():
            continue
        if value.dtype != torch.float32:
            kind = str(value.dtype).removeprefix("torch.")
            raise InputError(
                f"{name}: is {kind}, and runtimes lack operators for that; export network.float()"
            )
        if value.is_meta:
            raise InputError(f"{name}: is on the meta device and has no values; load weights first")
        if not value.isfinite().all():
            raise InputError(
                f"{name}: holds NaN or infinity, and so would the answers; export weights of "
                "before the training diverged"
            )


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
