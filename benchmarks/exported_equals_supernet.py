"""Does an exported file compute what the supernet computes?

For random groupings of several spaces, with random weights and the BatchNorm statistics that they
bring about: laid out, exported, loaded by ONNX Runtime, and compared with the supernet on random
inputs; fixed and dynamic batch in turns. Prints the largest difference of every space, that of the
supernet to its own answer in double precision, and the largest output.

    python benchmarks/exported_equals_supernet.py [--groupings 50] [--spaces NAME...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from derived_equals_supernet import randomised
from torch import nn

from groupnas import Grouping, LayoutPlanner, Supernet, derive, export_onnx, load_space
from groupnas.cli.tables import print_table
from groupnas.onnx_tools import open_session

SPACES = ("picasso_local", "groupbench", "examples/three_parts.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=SPACES)
    parser.add_argument("--groupings", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [["space", "groupings", "forms", "largest difference", "supernet's own", "output", "s"]]
    for name in options.spaces:
        start = time.perf_counter()
        found = [difference(name, seed) for seed in range(options.groupings)]
        forms = sorted({form for *_, used in found for form in used})
        worst, own, scale = (f"{max(row[column] for row in found):.1e}" for column in range(3))
        seconds = f"{time.perf_counter() - start:.0f}"
        rows.append([name, str(len(found)), " ".join(forms), worst, own, scale, seconds])
        print_table([rows[0], rows[-1]])


@torch.no_grad()
def difference(name: str, seed: int) -> tuple[float, float, float, set[str]]:
    """The largest difference of one grouping, the supernet's own, the outputs' scale, the forms."""
    space = load_space(name)
    torch.manual_seed(seed)
    net = randomised(Supernet(space))
    net.set_grouping(Grouping.random(space, seed))
    x = torch.randn(4, sum(space.inputs.values()), *space.input_size)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of what comes
    for _ in range(4):
        net.train()(torch.randn_like(x))
    expected = net.eval()(x)
    deployed = derive(net, planner=PLANNER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        export_onnx(deployed, file, batch=None if seed % 2 else 4)
        (found,) = open_session(file).run(None, {"x": x.numpy()})
    worst = (torch.from_numpy(found) - expected).abs().max().item()
    own = (net.double()(x.double()) - expected).abs().max().item()
    return worst, own, expected.abs().max().item(), {plan.form for plan in deployed.plan.layers}


if __name__ == "__main__":
    PLANNER = LayoutPlanner()
    main()
