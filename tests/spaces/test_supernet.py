"""groupnas.Supernet: groups never mix, a unit has one draw, and all of it can be kept."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import SMALL, some_input, through_state_dict
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from groupnas.errors import InputError
from groupnas.grouping import Grouping
from groupnas.nn import RELAXATIONS, ChannelMask
from groupnas.spaces import SearchSpace, load_space
from groupnas.spaces.supernet import MaskedLayer, Supernet

HARD = [name for name in RELAXATIONS if name != "gumbel_soft"]

Groupings = Callable[[SearchSpace], list[Grouping]]
Reach = Callable[..., Tensor]
Fill = Callable[..., Any]


def small(name: str = "ties", **settings: Any) -> Supernet:
    torch.manual_seed(0)
    return Supernet(load_space(SMALL / f"{name}.yaml"), init="normal", **settings)


# -- what it computes ---------------------------------------------------------------------------


def test_every_layer_has_the_size_that_the_space_says(space: SearchSpace) -> None:
    net, seen = Supernet(space).eval(), []
    for module in net.modules():
        if isinstance(module, MaskedLayer):
            module.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    assert net(some_input(space)).shape == (2, sum(space.outputs.values()))
    expected: list[tuple[int, ...]] = []
    for layer in space.layers:
        spatial = () if layer.op == "linear" else layer.out_size
        expected.append((2, layer.out_channels, *spatial))
    assert seen == expected


def check_that_groups_keep_apart(reached: Tensor) -> None:
    own = torch.eye(len(reached), dtype=torch.bool)
    assert reached[~own].eq(0).all()
    assert reached[own].gt(0).all()


def test_no_group_reaches_another_when_pinned(
    space: SearchSpace, groupings: Groupings, reach: Reach, randomised: Fill
) -> None:
    net = randomised(Supernet(space)).eval()
    for grouping in groupings(space):
        net.set_grouping(grouping)
        check_that_groups_keep_apart(reach(net, space))


@pytest.mark.parametrize("relaxation", HARD)
def test_no_group_reaches_another_while_masks_are_drawn(
    space: SearchSpace, relaxation: str, reach: Reach, randomised: Fill
) -> None:
    net = randomised(Supernet(space, relaxation, init="even")).train()
    reached = reach(net, space)
    # A draw may leave a group without a channel, and its outputs without a cause.
    own = torch.eye(len(reached), dtype=torch.bool)
    assert reached[~own].eq(0).all()
    assert reached[own].gt(0).any()


def test_soft_masks_do_mix_groups(reach: Reach, randomised: Fill) -> None:
    """So that the test above is known to see it."""
    net = randomised(small(relaxation="gumbel_soft")).train()
    assert reach(net, net.space).gt(0).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_unit_is_drawn_once_for_all_its_layers(space: SearchSpace, training: bool) -> None:
    net, drawn = Supernet(space).train(training), Counter[str]()
    for unit, mask in net.channel_masks().items():
        mask.register_forward_hook(lambda *_, unit=unit: drawn.update([unit]))
    net(some_input(space))
    assert drawn == Counter(list(space.free_units))


def test_weights_and_masks_share_all_parameters_out(space: SearchSpace) -> None:
    net = Supernet(space)
    weights, logits = set(net.weight_parameters()), set(net.arch_parameters())
    assert weights.isdisjoint(logits)
    assert weights | logits == set(net.parameters())
    assert sum(p.numel() for p in logits) == len(space.groups) * sum(space.free_units.values())


def test_gradients_reach_all_parameters(space: SearchSpace) -> None:
    torch.manual_seed(0)
    net = Supernet(space, init="normal").train()
    net(some_input(space, batch=4)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert "logits" not in name or parameter.grad.ne(0).any(), name


# -- masks behind BatchNorm ---------------------------------------------------------------------


def test_hard_masks_compute_and_learn_the_same_in_both_places(
    space: SearchSpace, randomised: Fill
) -> None:
    before = randomised(Supernet(space)).double().train()
    before.set_grouping(Grouping.random(space, seed=1))
    behind = Supernet(space, place="behind").double().train()
    behind.load_state_dict(before.state_dict())
    x = some_input(space, batch=4).double()
    outputs = [net(x) for net in (before, behind)]
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(behind(x, for_weights=True), outputs[0])
    before(x)  # as many passes, as many updates of statistics
    for net, y in zip((before, behind), outputs, strict=True):
        y.square().sum().backward()
        grads = [p.grad for p in net.weight_parameters()]
        assert any(grad is not None and grad.ne(0).any() for grad in grads)
    for (name, p), q in zip(
        before.blocks.named_parameters(), behind.blocks.parameters(), strict=True
    ):
        torch.testing.assert_close(q.grad, p.grad, msg=name)
    for (name, a), b in zip(before.named_buffers(), behind.buffers(), strict=True):
        torch.testing.assert_close(b, a, msg=name)
    torch.testing.assert_close(behind.eval()(x), before.eval()(x))


def test_behind_batchnorm_an_entry_is_the_gate_of_its_channel_in_that_group() -> None:
    """Moved there and gated behind its layer, in a supernet of the other place, says the same."""
    space = load_space("groupbench")
    torch.manual_seed(0)
    net = Supernet(space, place="behind").double().train()
    other = Supernet(space).double().train()
    other.load_state_dict(net.state_dict())
    start = Grouping.even(space)
    x = some_input(space, batch=8).double()
    masks = {
        unit: torch.nn.functional.one_hot(torch.tensor(owners), 3).double().requires_grad_()
        for unit, owners in {**space.fixed, **start.assignments}.items()
    }
    (net.under(masks, x) ** 2).sum().backward()
    ends = torch.tensor([0, *space.outputs.values()]).cumsum(0).tolist()
    for unit, channel, group in [("stem", 0, 0), ("stem", 0, 2), ("body", 5, 1), ("body", 5, 0)]:
        owners = {name: list(own) for name, own in start.assignments.items()}
        own = owners[unit][channel] == group
        owners[unit][channel] = group
        for name, mask in other.channel_masks().items():
            mask.pin(owners[name])
        gate = torch.ones(len(owners[unit]), dtype=torch.float64)
        gate[channel] = float(own)
        gate.requires_grad_()
        layer = next(
            module
            for block, modules in other.layers_by_block()
            for layer, module in zip(block.layers, modules, strict=True)
            if layer.out_unit == unit
        )
        hook = layer.register_forward_hook(lambda _, __, y, g=gate: y * g[:, None, None])
        y = other(x)[:, ends[group] : ends[group + 1]]
        hook.remove()
        (expected,) = torch.autograd.grad((y**2).sum(), gate)
        found = masks[unit].grad
        assert found is not None and found[channel, group] != 0
        torch.testing.assert_close(found[channel, group], expected[channel])


def test_a_place_that_there_is_not() -> None:
    with pytest.raises(InputError, match="place 'behnd': did you mean 'behind'"):
        Supernet(load_space(SMALL / "ties.yaml"), place="behnd")  # type: ignore[arg-type]


# -- the grouping -------------------------------------------------------------------------------


def test_it_starts_as_the_even_grouping_by_numbers(space: SearchSpace) -> None:
    assert Supernet(space).grouping().counts() == Grouping.even(space).counts()


def test_a_pinned_grouping_is_what_it_says_and_uses(
    space: SearchSpace, groupings: Groupings
) -> None:
    net = Supernet(space)
    for grouping in groupings(space):
        net.set_grouping(grouping)
        for mode in (True, False):
            assert net.train(mode).grouping() == grouping
            for unit, mask in net.channel_masks().items():
                assert mask().argmax(dim=1).tolist() == list(grouping.assignments[unit])
                assert torch.equal(net.probabilities()[unit], mask())


def test_release_goes_back_to_what_was_learned() -> None:
    net = small()
    learned = net.grouping()
    net.set_grouping(Grouping.random(net.space, seed=1))
    assert net.grouping() != learned
    net.release()
    assert net.grouping() == learned


def test_the_grouping_is_valid_whatever_the_logits_say() -> None:
    net = small()
    with torch.no_grad():
        for logits in net.arch_parameters():
            logits[:, 1] += 100
    counts = net.grouping().counts()
    for unit, channels in net.space.free_units.items():
        assert counts[unit] == {"a": 1, "b": channels - 2, "c": 1}


def test_a_grouping_of_another_space_is_refused() -> None:
    other = Grouping.even(load_space(SMALL / "pools.yaml"))
    with pytest.raises(InputError, match="groups"):
        small().set_grouping(other)


def test_settings_reach_every_mask() -> None:
    net = small(relaxation="flgc")
    net.set_temperature(0.25)
    assert {mask.temperature for mask in net.channel_masks().values()} == {0.25}
    assert {mask.relaxation for mask in net.channel_masks().values()} == {"flgc"}
    for unit, p in net.probabilities().items():
        torch.testing.assert_close(p.sum(dim=1), torch.ones(net.space.free_units[unit]))


# -- in the company of PyTorch ------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [True, False])
def test_copies_compute_the_same(space: SearchSpace, pinned: bool) -> None:
    net = Supernet(space, init="normal").eval()
    if pinned:
        net.set_grouping(Grouping.random(space, seed=2))
    x = some_input(space)
    for twin in (
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        through_state_dict(net, Supernet(net.space)).eval(),
    ):
        assert torch.equal(twin(x), net(x))
        assert twin.grouping() == net.grouping()


def test_it_compiles_exports_and_autocasts(randomised: Fill) -> None:
    net: nn.Module = randomised(small("ties")).eval()
    x = some_input(net.space)  # type: ignore[arg-type]
    expected = net(x)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = net(x).float()
    assert (low - expected).abs().max() < 0.05 * expected.abs().max()


def test_channels_last_computes_the_same(randomised: Fill) -> None:
    net = randomised(small("pools")).eval()
    x = some_input(net.space)
    expected = net(x)
    net.to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.to(memory_format=torch.channels_last)), expected)


@pytest.mark.parametrize("pinned", [True, False])
def test_an_average_has_the_same_groups_and_outputs(pinned: bool, randomised: Fill) -> None:
    space = load_space(SMALL / "plain.yaml")  # four groups: of 3, an average of integers makes 2
    net = randomised(Supernet(space, init="normal"))
    if pinned:
        net.set_grouping(Grouping.random(space, seed=3))
    mean = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(10):
        mean.update_parameters(net)
    x = some_input(space)
    torch.testing.assert_close(mean.eval()(x), net.eval()(x), rtol=1e-3, atol=1e-4)
    assert mean.module.grouping() == net.grouping()


@pytest.mark.parametrize("after", ["eval", "train"])
def test_loaded_weights_count_whatever_the_mode_was(space: SearchSpace, after: str) -> None:
    saved, late = Supernet(space), Supernet(space).eval()
    for logits in saved.arch_parameters():
        nn.init.normal_(logits)
    late.load_state_dict(saved.state_dict())
    if after == "train":
        late.train().eval()
    x = some_input(space)
    assert torch.equal(late(x), saved.eval()(x))
    assert late.grouping() == saved.grouping()


def test_it_lives_in_the_default_dtype(default_dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    space = load_space(SMALL / "ties.yaml")
    net = Supernet(space, init="even")
    x = some_input(space).to(default_dtype)
    y = net(x)
    y.square().mean().backward()
    assert y.dtype == default_dtype
    assert all(p.grad is not None and p.grad.dtype == default_dtype for p in net.parameters())
    assert net.eval().float()(x.float()).dtype == torch.float32


def test_it_is_made_on_the_meta_device_and_filled_there(space: SearchSpace) -> None:
    saved = Supernet(space, init="normal").eval()
    saved.set_grouping(Grouping.random(space, seed=1))
    x = some_input(space)
    with torch.device("meta"):
        nets = [Supernet(space).eval() for _ in range(2)]
        assert nets[0](x.to("meta")).shape == (2, sum(space.outputs.values()))
    with pytest.raises(InputError, match="is on the meta device and has no values; fill it first"):
        nets[0].grouping()
    nets[0].to_empty(device="cpu").load_state_dict(saved.state_dict())
    nets[1].load_state_dict(saved.state_dict(), assign=True)
    for net in nets:
        assert torch.equal(net(x), saved(x)) and net.grouping() == saved.grouping()
    saved.release()
    nets[0].load_state_dict(saved.state_dict())
    assert torch.equal(nets[0](x), saved(x)) and nets[0].grouping() == saved.grouping()


def test_it_trains_distributed_pinned_released_and_in_evaluation_mode(process_group: None) -> None:
    net = small()
    parallel = nn.parallel.DistributedDataParallel(net)
    logits = list(net.arch_parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def steps() -> float:
        for _ in range(2):
            optimizer.zero_grad()
            parallel(some_input(net.space)).square().mean().backward()  # type: ignore[arg-type]
            optimizer.step()
        return max(p.grad.abs().max().item() for p in logits if p.grad is not None)

    assert steps() > 0
    before = [p.clone() for p in logits]
    net.set_grouping(Grouping.random(net.space, 1))
    assert steps() == 0
    assert all(map(torch.equal, logits, before))
    net.release()
    assert steps() > 0
    parallel.eval()
    assert steps() == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_runs_on_cuda(space: SearchSpace) -> None:
    net = Supernet(space, init="normal").cuda()
    assert net.grouping() == copy.deepcopy(net).cpu().grouping()
    net(some_input(space).cuda()).square().sum().backward()
    for parameter in net.parameters():
        assert parameter.grad is not None and parameter.grad.is_cuda


def test_masks_of_even_start_keep_their_confidence() -> None:
    net = Supernet(load_space(SMALL / "ties.yaml"), init="even", confidence=0.8)
    for p in net.probabilities().values():
        torch.testing.assert_close(p.max(dim=1).values, torch.full((len(p),), 0.8))


def test_names_of_modules_are_never_those_of_their_container() -> None:
    net = small("tied_input")
    blocks, masks = list(net.blocks), list(net.masks)
    assert len(blocks) == len(net.space.blocks) == len(set(blocks))
    assert masks == ["train-block1-hidden", "train-block2-hidden", "type-block1", "type-block2"] + [
        "type_block1",
        "pop-",
    ]
    assert all(isinstance(mask, ChannelMask) for mask in net.masks.values())


@pytest.mark.parametrize("training", [True, False])
def test_replicas_of_dataparallel_compute_the_same(training: bool) -> None:
    """They have tensors where the module has parameters."""
    net = small(relaxation="softmax_hard").train(training)
    x = some_input(net.space)
    replica = copy.deepcopy(net)
    expected = net(x)
    for module in replica.modules():
        for name, value in list(module._parameters.items()):
            module._parameters.pop(name)
            setattr(module, name, None if value is None else value.clone())
    assert not list(replica.parameters())
    torch.testing.assert_close(replica(x), expected)
