"""The best valid group of each channel, read from logits, which stay as they are.

It is an operator of its own, so that nothing needs to be remembered between calls. A kept reading
would go stale with the next way to write weights: an optimiser, ``load_state_dict``, an average.
PyTorch's tools (``compile``, ``export``, ``torch.func``) see one operator; ONNX has none for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from groupnas.errors import InputError
from groupnas.grouping import best_valid
from groupnas.nn.indices import check_readable


@torch.library.custom_op("groupnas::best_valid", mutates_args=())
def best_valid_groups(logits: Tensor) -> Tensor:
    """:func:`groupnas.grouping.best_valid` of logits ``(C, G)``: int64 ``(C,)`` on their device.

    Raises:
        InputError: a logit is NaN.
    """
    check_readable(logits, "logits")
    exact = logits.detach().to("cpu", torch.float64).contiguous()
    return torch.tensor(_read(exact.numpy().tobytes(), logits.shape[1]), device=logits.device)


@best_valid_groups.register_fake
def _(logits: Tensor) -> Tensor:
    if torch.onnx.is_in_onnx_export():
        raise InputError(
            "ONNX has no operator that reads masks: pin what they say before the export, by "
            "mask.pin(mask.discrete()) of each, or derive the network"
        )
    return logits.new_empty(logits.shape[0], dtype=torch.long)


def _mapped(info: Any, in_dims: tuple[int | None], logits: Tensor) -> tuple[Tensor, int]:
    assert in_dims[0] is not None  # or there were nothing to map over
    return torch.stack([best_valid_groups(one) for one in logits.unbind(in_dims[0])]), 0


if hasattr(best_valid_groups, "register_vmap"):  # torch 2.5
    best_valid_groups.register_vmap(_mapped)


@lru_cache(maxsize=256)
def _read(values: bytes, groups: int) -> list[int]:
    """A pure function, remembered: an evaluation reads the same logits batch after batch."""
    return best_valid(np.frombuffer(values).reshape(-1, groups).tolist())
