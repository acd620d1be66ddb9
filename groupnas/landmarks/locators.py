"""A cascade from whatever file holds it, ready to locate: with PyTorch, or with ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from groupnas.errors import InputError

if TYPE_CHECKING:
    from groupnas.landmarks.cascade import Cascade
    from groupnas.landmarks.deploy.runtime import OnnxCascade


def is_exported(model: str | os.PathLike[str]) -> bool:
    """Whether a path means an ONNX file, not a model's card or folder."""
    return Path(model).suffix.lower() == ".onnx"


def load_locator(
    model: str | os.PathLike[str],
    *,
    mirrored: bool = False,
    device: str = "cpu",
    threads: int = 1,
) -> Cascade | OnnxCascade:
    """Read a cascade; PyTorch is imported for a card alone.

    Args:
        model: A card, the folder that holds ``model.json``, or an exported ``.onnx``.
        mirrored: As :func:`groupnas.landmarks.mirrored.looking_twice`.
        device: A torch device; ONNX Runtime computes on the CPU.
        threads: Of ONNX Runtime; those of PyTorch are its own.

    Raises:
        InputError: as :func:`groupnas.landmarks.model.load_cascade` or
            :meth:`groupnas.landmarks.deploy.runtime.OnnxCascade.load`; what an ONNX file cannot do.
    """
    if not is_exported(model):
        from groupnas.landmarks.mirrored import looking_twice
        from groupnas.landmarks.model import load_cascade

        cascade = load_cascade(model, device)
        return looking_twice(cascade) if mirrored else cascade
    if mirrored:
        raise InputError(f"--mirrored: {model} looks once; give the model card")
    if device != "cpu":
        raise InputError(f"--device {device}: {model} runs on the CPU; give the model card")
    from groupnas.landmarks.deploy.runtime import OnnxCascade

    return OnnxCascade.load(model, threads)
