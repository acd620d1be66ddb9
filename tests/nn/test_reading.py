"""groupnas.nn.reading: the groups that a mask uses are those that its logits say now."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.swa_utils import AveragedModel

from groupnas.errors import InputError
from groupnas.grouping import best_valid
from groupnas.nn import ChannelMask
from groupnas.nn.reading import best_valid_groups

SAID = [0, 0, 0, 0, 1, 1]
LEARNED = torch.tensor([[5.0, 0.0]] * 4 + [[0.0, 5.0]] * 2)


def learned() -> ChannelMask:
    mask = ChannelMask(6, 2)
    with torch.no_grad():
        mask.logits.copy_(LEARNED)
    return mask


def load(mask: ChannelMask) -> None:
    mask.load_state_dict(learned().state_dict())


def load_in_inference_mode(mask: ChannelMask) -> None:
    with torch.inference_mode():
        load(mask)


def assign(mask: ChannelMask) -> None:
    mask.load_state_dict(learned().state_dict(), assign=True)


def write_data(mask: ChannelMask) -> None:
    mask.logits.data = LEARNED.clone()


def average(mask: ChannelMask) -> None:
    for mean, value in zip(
        mask.state_dict().values(), learned().state_dict().values(), strict=True
    ):
        mean.copy_(0.1 * mean + 0.9 * value)


def step(mask: ChannelMask) -> None:
    optimizer = torch.optim.SGD([mask.logits], lr=1.0)
    mask.logits.grad = -LEARNED
    optimizer.step()


def from_vector(mask: ChannelMask) -> None:
    vector_to_parameters(parameters_to_vector(learned().parameters()), mask.parameters())


WRITES = [load, load_in_inference_mode, assign, write_data, average, step, from_vector]


@pytest.mark.parametrize("write", WRITES)
def test_whoever_writes_the_logits_after_eval(write: Callable[[ChannelMask], None]) -> None:
    mask = ChannelMask(6, 2).eval()
    assert mask().argmax(dim=1).tolist() == [0, 1, 0, 1, 0, 1]  # no preference: even shares
    write(mask)
    assert mask().argmax(dim=1).tolist() == list(mask.chosen) == SAID
    assert mask.discrete().tolist() == SAID


def test_an_average_of_the_weights_reads_its_own() -> None:
    mask = ChannelMask(6, 2).eval()
    mean = AveragedModel(mask, use_buffers=True)
    load(mask)
    mean.update_parameters(mask)
    assert mean.module.chosen == mask.chosen == tuple(SAID)


def test_a_compiled_mask_reads_the_newest_logits() -> None:
    mask = ChannelMask(6, 2).eval()
    compiled = torch.compile(mask, backend="aot_eager", fullgraph=True)
    compiled()
    load(mask)
    assert compiled().argmax(dim=1).tolist() == SAID


def test_an_exported_mask_reads_the_weights_that_it_is_given() -> None:
    program = torch.export.export(ChannelMask(6, 2).eval(), ()).module()
    program.load_state_dict(learned().state_dict(), strict=False)
    assert program().argmax(dim=1).tolist() == SAID


def test_masks_of_many_networks_at_once() -> None:
    masks = [ChannelMask(6, 3, init="normal").eval() for _ in range(4)]
    parameters, buffers = stack_module_state(masks)  # type: ignore[arg-type]
    rows = vmap(lambda p, b: functional_call(masks[0], (p, b), ()))(parameters, buffers)
    assert torch.equal(rows, torch.stack([mask() for mask in masks]))


@given(
    rows=st.integers(1, 4).flatmap(
        lambda groups: st.lists(
            # Few values, so that many are equal
            st.lists(st.sampled_from([-1.0, 0.0, 0.1, 2.5]), min_size=groups, max_size=groups),
            min_size=groups,
            max_size=9,
        )
    ),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]),
)
def test_it_is_the_best_valid_reading(rows: list[list[float]], dtype: torch.dtype) -> None:
    logits = torch.tensor(rows, dtype=dtype)
    found = best_valid_groups(logits.T.contiguous().T)  # wherever the numbers lie
    assert found.dtype == torch.int64
    assert found.tolist() == best_valid(logits.double().tolist())


def test_nothing_is_remembered_that_somebody_else_could_change() -> None:
    logits = LEARNED.clone()
    best_valid_groups(logits).zero_()
    assert best_valid_groups(logits).tolist() == SAID


def test_logits_that_are_not_numbers_say_nothing() -> None:
    mask = learned().eval()
    twin = copy.deepcopy(mask)
    with torch.no_grad():
        mask.logits[2, 0] = float("nan")
    for read in (mask, mask.discrete, lambda: mask.chosen):
        with pytest.raises(InputError, match=r"logits.*: some are not a number \(NaN\)"):
            read()
    mask.pin(twin.chosen)
    assert torch.equal(mask(), twin())


def test_onnx_is_told_that_it_has_no_such_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    with pytest.raises(InputError, match=r"pin what they say before the export, by mask\.pin"):
        best_valid_groups(torch.empty(6, 2, device="meta"))  # as exporters trace
