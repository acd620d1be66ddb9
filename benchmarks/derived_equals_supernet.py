"""Does the derived network compute what the supernet computes, and cost what the accountant says?

For random groupings, with random weights and BatchNorm statistics: the largest difference of the
outputs, and the accountant's multiply-accumulates minus those that fvcore, thop and torch count on
the derived network. Differences of outputs are rounding errors; those of costs must be 0.

    python benchmarks/derived_equals_supernet.py [--space picasso_local] [--groupings 20]
"""

from __future__ import annotations

import argparse
import copy
import warnings

import torch
from torch import Tensor, nn

from groupnas import Grouping, Supernet, derive, flops, load_space
from groupnas.spaces.allocation import Allocation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="picasso_local")
    parser.add_argument("--groupings", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # of the other counters

    space = load_space(options.space)
    torch.manual_seed(0)
    net = randomised(Supernet(space)).eval()
    x = torch.randn(options.batch, sum(space.inputs.values()), *space.input_size)
    print(f"{space.name}, torch {torch.__version__}, batch {options.batch}, float32")
    header = ("grouping", "|difference|", "output scale", "MACs", "fvcore", "thop", "torch")
    print("".join(f"{title:>13}" for title in header))
    worst = 0.0
    for seed in range(options.groupings):
        grouping = Grouping.random(space, seed)
        net.set_grouping(grouping)
        network = derive(net)
        with torch.no_grad():
            expected, computed = net(x), network(x)
            macs = flops(Allocation(space, grouping)).total
            others = [count(network, x[:1]) - macs for count in (by_fvcore, by_thop, by_torch)]
        difference = (computed - expected).abs().max().item()
        scale = expected.abs().max().item()
        worst = max(worst, difference / max(scale, 1.0))
        print(f"{f'random {seed}':>13}{difference:13.2e}{scale:13.2f}{macs:13,}", end="")
        print("".join(f"{other:+13.0f}" for other in others))
    print(f"largest difference over max(output scale, 1): {worst:.2e}")


@torch.no_grad()
def randomised(net: Supernet) -> Supernet:
    """Random biases and BatchNorm statistics; the weights are random already."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name, tensor in module.state_dict().items():
                if name in ("weight", "running_var"):
                    tensor.uniform_(0.5, 1.5)
                elif name in ("bias", "running_mean"):
                    tensor.normal_(0, 0.2)
        elif isinstance(bias := getattr(module, "bias", None), Tensor):
            bias.normal_(0, 0.2)
    return net


def by_fvcore(network: nn.Module, x: Tensor) -> float:
    from fvcore.nn import FlopCountAnalysis

    counter = FlopCountAnalysis(network, x)
    counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return counter.total() - counter.by_operator()["batch_norm"]


def by_thop(network: nn.Module, x: Tensor) -> float:
    import thop

    other = {kind: lambda *_: None for kind in (nn.BatchNorm2d, nn.AvgPool2d)}
    # A copy: thop leaves buffers behind.
    return thop.profile(copy.deepcopy(network), (x,), custom_ops=other, verbose=False)[0]


def by_torch(network: nn.Module, x: Tensor) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(x)
    return counter.get_total_flops() / 2


if __name__ == "__main__":
    main()
