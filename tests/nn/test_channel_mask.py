"""groupnas.nn.ChannelMask: what it gives when training, evaluating and pinned."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import through_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from groupnas.errors import InputError
from groupnas.nn import RELAXATIONS, ChannelMask


def with_logits(rows: list[list[float]], relaxation: str = "gumbel_hard") -> ChannelMask:
    mask = ChannelMask(len(rows), len(rows[0]), relaxation)
    with torch.no_grad():
        mask.logits.copy_(torch.tensor(rows))
    return mask


COPIES: list[Callable[[ChannelMask], ChannelMask]] = [
    copy.deepcopy,
    lambda mask: pickle.loads(pickle.dumps(mask)),
    lambda mask: through_state_dict(mask, ChannelMask(*mask.logits.shape)).train(mask.training),
]


# -- what it starts from ------------------------------------------------------------------------


def test_ones_start_without_preference_and_in_even_shares() -> None:
    mask = ChannelMask(10, 4)
    assert mask.logits.eq(1).all()
    assert torch.bincount(mask.discrete()).tolist() == [3, 3, 2, 2]
    assert mask.entropy().item() == pytest.approx(1.0)


def test_normal_starts_with_standard_normal_logits() -> None:
    torch.manual_seed(0)
    logits = ChannelMask(1000, 4, init="normal").logits
    assert logits.mean().item() == pytest.approx(0, abs=0.05)
    assert logits.std().item() == pytest.approx(1, abs=0.05)


def test_even_starts_with_an_even_division_held_with_confidence() -> None:
    mask = ChannelMask(6, 4, init="even", confidence=0.7)
    assert torch.bincount(mask.discrete()).tolist() == [2, 2, 1, 1]
    probabilities = mask.probabilities().sort(dim=1).values
    assert probabilities[:, 3].tolist() == pytest.approx([0.7] * 6)
    assert probabilities[:, 0].tolist() == pytest.approx([0.1] * 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 4), "3 channels cannot hold 4 groups"),
        ((3, 0), "groups: expected at least 1, got 0"),
        ((4, 2.0), "groups: expected an integer, got 2.0"),
        ((4, 2, "gumbel"), "relaxation 'gumbel': did you mean"),
        ((4, 2, "flgc", "zeros"), "mask init 'zeros': choose from: even, normal, ones"),
        ((4, 2, "flgc", "even", 0.5), "mask confidence: expected 1/2 to 1, got 0.5"),
    ],
)
def test_what_cannot_be_made_is_named(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChannelMask(*arguments)  # type: ignore[arg-type]


# -- what it gives ------------------------------------------------------------------------------


def test_training_draws_anew_each_call() -> None:
    mask = ChannelMask(64, 4)
    assert not torch.equal(mask(), mask())


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_training_uses_relaxation_and_temperature(relaxation: str) -> None:
    mask = ChannelMask(8, 4, relaxation, init="normal")
    mask.temperature = 0.4
    torch.manual_seed(1)
    given = mask()
    torch.manual_seed(1)
    assert torch.equal(given, RELAXATIONS[relaxation](mask.logits, 0.4))
    assert given.requires_grad


def test_evaluation_reads_the_logits() -> None:
    mask = with_logits([[0.0, 3.0], [2.0, 1.0], [0.0, 5.0]]).eval()
    assert mask().tolist() == [[0, 1], [1, 0], [0, 1]]
    assert torch.equal(mask(), mask())
    assert not mask().requires_grad
    assert mask.probabilities()[0].tolist() == pytest.approx([1 / (1 + math.e**3), 0.9525741])


def test_an_empty_group_is_repaired_by_the_cheapest_change() -> None:
    # All prefer group 0; channel 2 loses least (0.1) by going to group 1, then 0 by going to 2.
    mask = with_logits([[5.0, 1.0, 4.0], [5.0, 0.0, 0.0], [5.0, 4.9, 0.0], [5.0, 0.0, 0.0]])
    assert mask.discrete().tolist() == [2, 0, 1, 0]
    assert mask.eval()().argmax(dim=1).tolist() == [2, 0, 1, 0]


def test_evaluation_mode_takes_the_newest_logits() -> None:
    mask = with_logits([[1.0, 0.0], [0.0, 1.0]]).eval()
    with torch.no_grad():
        mask.train().logits.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert mask.eval()().tolist() == [[0, 1], [1, 0]]


def test_entropy_by_hand() -> None:
    # Two channels undecided between two of four groups (ln 2 / ln 4), two decided (0).
    mask = with_logits([[50.0, 50.0, 0.0, 0.0], [99.0, 0.0, 0.0, 0.0]] * 2)
    assert mask.entropy().item() == pytest.approx(0.25)
    mask.pin(torch.tensor([0, 1, 2, 3]))
    assert mask.entropy().item() == 0
    assert ChannelMask(3, 1).entropy().item() == 0


# -- pinned -------------------------------------------------------------------------------------


def test_pinned_masks_neither_draw_nor_read_the_logits() -> None:
    mask = with_logits([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    mask.pin(torch.tensor([1, 0, 0]))
    expected = [[0, 1], [1, 0], [1, 0]]
    for module in (mask, mask.eval(), mask.train()):
        assert module().tolist() == module.probabilities().tolist() == expected
        assert module.discrete().tolist() == [1, 0, 0]


def test_release_goes_back_to_the_logits() -> None:
    mask = with_logits([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]]).eval()
    mask.pin(torch.tensor([1, 0, 0]))
    mask.release()
    assert mask.discrete().tolist() == [0, 0, 1]
    assert mask().tolist() == [[1, 0], [1, 0], [0, 1]]
    assert mask.train()().requires_grad


def test_pinning_keeps_its_own_copy() -> None:
    given = torch.tensor([1, 0, 0])
    mask = ChannelMask(3, 2)
    mask.pin(given)
    given.zero_()
    assert mask.discrete().tolist() == [1, 0, 0]


def test_fixed_masks_are_pinned_and_not_learned() -> None:
    mask = ChannelMask.fixed([0, 1, 1, 2], groups=3)
    assert mask.training and mask().argmax(dim=1).tolist() == [0, 1, 1, 2]
    assert not mask.logits.requires_grad


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ([0, 1], "expected 3 channels, got shape"),
        ([[0, 1, 1]], "expected 3 channels, got shape"),
        ([0, 1, 2], "group indices must be in 0..1"),
        ([0, -1, 1], "group indices must be in 0..1"),
    ],
)
def test_an_assignment_that_does_not_fit_is_refused(assignment: list[int], message: str) -> None:
    mask = ChannelMask(3, 2)
    with pytest.raises(InputError, match=message):
        mask.pin(torch.tensor(assignment))
    assert not mask.pinned


@pytest.mark.parametrize(
    "given", [[0.0, 1.0, 1.0], torch.tensor([True, False, True]), ["a", "b", "a"], None]
)
def test_an_assignment_is_of_integers(given: Any) -> None:
    with pytest.raises(InputError, match="assignment: expected integers, got"):
        ChannelMask(3, 2).pin(given)


def test_what_is_read_of_a_pinned_mask_is_a_copy() -> None:
    mask = ChannelMask.fixed([1, 0, 0], groups=2)
    mask.discrete().zero_()
    assert mask.discrete().tolist() == [1, 0, 0]


def test_pinned_logits_have_no_gradient_unless_a_process_group_waits_for_it(
    process_group: None,
) -> None:
    mask = ChannelMask(3, 2, init="normal")
    torch.nn.init.constant_(mask.logits, math.nan)
    mask.pin([0, 1, 1])
    weight = torch.ones(3, 2, requires_grad=True)
    for module in (mask, mask.eval()):
        (module() * weight).sum().backward()
        assert mask.logits.grad is not None and mask.logits.grad.eq(0).all()
        assert module().tolist() == [[1, 0], [0, 1], [0, 1]]
    with torch.no_grad():
        assert not mask().requires_grad
    torch.distributed.destroy_process_group()
    assert not mask().requires_grad


# -- kept ---------------------------------------------------------------------------------------


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) and a.dtype == b.dtype


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "pickle", "state_dict"])
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_copy_is_the_same_mask(
    copied: Callable[[ChannelMask], ChannelMask], pinned: bool, training: bool
) -> None:
    mask = ChannelMask(12, 3, init="normal").train(training)
    if pinned:
        mask.pin(torch.tensor([2, 1, 0] * 4))
    twin = copied(mask)
    torch.manual_seed(0)
    given = mask()
    torch.manual_seed(0)
    assert same(given, twin())
    assert same(mask.discrete(), twin.discrete())
    assert twin.pinned == pinned and twin.training == training
    twin.pin(torch.tensor([0, 1, 2] * 4))
    assert mask.pinned == pinned  # a copy, not a view


@pytest.mark.parametrize("own", [None, [2, 1, 0] * 4])
@pytest.mark.parametrize("loaded", [None, [0, 1, 2] * 4])
def test_loading_brings_the_other_s_pins_or_none(
    own: list[int] | None, loaded: list[int] | None
) -> None:
    mask, other = ChannelMask(12, 3, init="normal"), ChannelMask(12, 3, init="normal")
    for one, groups in ((mask, own), (other, loaded)):
        if groups is not None:
            one.pin(groups)
    mask.load_state_dict(other.state_dict())
    assert mask.pinned == (loaded is not None) and mask.chosen == other.chosen


def averages(a: ChannelMask, b: ChannelMask) -> list[dict[str, Tensor]]:
    """As averages of state dicts are made: of floats, in place, or of whatever is there."""
    rows = [(key, value, b.state_dict()[key]) for key, value in a.state_dict().items()]
    third: dict[str, Tensor] = a.state_dict()
    for key, mine, other in rows:
        third[key].copy_(0.7 * mine + 0.3 * other)
    return [
        {key: (mine.float() + other.float()) / 2 for key, mine, other in rows},
        {key: (mine + other) / 2 for key, mine, other in rows},
        third,
    ]


def test_averages_of_state_dicts_keep_groups_that_are_the_same() -> None:
    mask, other = ChannelMask.fixed([1, 0, 2, 2], 3), ChannelMask.fixed([1, 0, 2, 2], 3)
    for state in averages(mask, other):
        fresh = ChannelMask(4, 3)
        fresh.load_state_dict(state)
        assert fresh.chosen == (1, 0, 2, 2)


def test_an_average_of_different_groups_is_none() -> None:
    for state in averages(ChannelMask.fixed([1, 0, 2, 2], 3), ChannelMask.fixed([1, 1, 2, 0], 3)):
        with pytest.raises(InputError, match="a channel is in several groups or none"):
            ChannelMask(4, 3).load_state_dict(state)


@pytest.mark.parametrize("state", [torch.tensor(True), torch.zeros(3, 4), "pinned"], ids=str)
def test_a_state_of_something_else(state: Any) -> None:
    with pytest.raises(InputError, match=r"pinned groups: expected a mask of \(4, 3\), got"):
        ChannelMask(4, 3).set_extra_state(state)


def test_pins_go_into_files_of_plain_tensors(tmp_path: Path) -> None:
    mask = ChannelMask.fixed([1, 0, 2, 2], 3)
    save_file(mask.state_dict(), tmp_path / "mask.safetensors")
    fresh = ChannelMask(4, 3)
    fresh.load_state_dict(load_file(tmp_path / "mask.safetensors"))
    assert fresh.chosen == (1, 0, 2, 2)


@pytest.mark.parametrize("init", ["ones", "normal", "even"])
def test_masks_are_made_on_the_meta_device_and_reset_anywhere(init: Any) -> None:
    with torch.device("meta"):
        mask = ChannelMask(6, 2, init=init)
        fixed = ChannelMask.fixed([0, 1, 1], 2)
    for module, shape in ((mask, (6, 2)), (mask.eval(), (6, 2)), (fixed, (3, 2))):
        assert module().is_meta and module().shape == shape
    assert "6 channels" in repr(mask) and fixed.chosen == (0, 1, 1)
    with pytest.raises(InputError, match="is on the meta device and has no values; fill it first"):
        mask.chosen  # noqa: B018
    mask.to_empty(device="cpu")
    torch.manual_seed(0)
    mask.reset_parameters()
    torch.manual_seed(0)
    assert torch.equal(mask.logits, ChannelMask(6, 2, init=init).logits)


def test_a_state_without_values_changes_nothing() -> None:
    mask = ChannelMask.fixed([0, 1, 1], 2)
    mask.set_extra_state(torch.empty(3, 2, device="meta"))
    assert mask.chosen == (0, 1, 1)


def test_evaluation_in_inference_mode_leaves_a_mask_that_can_be_trained() -> None:
    mask, saved = ChannelMask(6, 2), ChannelMask(6, 2, init="normal").state_dict()
    with torch.inference_mode():
        mask.eval()()
        mask.pin([0, 1, 0, 1, 0, 1])
        mask.release()
    mask.train().load_state_dict(saved)
    (mask() * torch.randn(6, 2)).sum().backward()
    assert mask.logits.grad is not None and mask.logits.grad.ne(0).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_masks_come_in_the_logits_dtype(dtype: torch.dtype) -> None:
    mask = ChannelMask(4, 2).to(dtype)
    assert mask().dtype == mask.eval()().dtype == dtype
    assert mask.discrete().dtype == torch.int64


def test_the_text_says_what_it_is() -> None:
    mask = ChannelMask(4, 2, "flgc")
    assert repr(mask) == "ChannelMask(4 channels, 2 groups, flgc)"
    mask.pin(torch.tensor([0, 0, 1, 1]))
    assert repr(mask) == "ChannelMask(4 channels, 2 groups, pinned)"
