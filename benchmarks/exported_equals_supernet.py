"""Does an exported file compute what the supernet computes?

For random groupings of several spaces, with random weights and BatchNorm statistics: laid out,
exported, loaded by ONNX Runtime, and compared with the supernet on random inputs; fixed and dynamic
batch in turns. Prints the largest difference of every space, absolute and relative to the outputs'
scale.

    python benchmarks/exported_equals_supernet.py [--groupings 50] [--spaces NAME...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from derived_equals_supernet import randomised

from groupnas import Grouping, LayoutPlanner, Supernet, derive, export_onnx, load_space
from groupnas.cli.tables import print_table
from groupnas.latency.onnx_tools import open_session

SPACES = ("picasso_local", "groupbench", "examples/three_parts.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=SPACES)
    parser.add_argument("--groupings", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [["space", "groupings", "forms", "largest difference", "output scale", "s"]]
    for name in options.spaces:
        start = time.perf_counter()
        found = [difference(name, seed) for seed in range(options.groupings)]
        forms = sorted({form for _, _, used in found for form in used})
        worst, scale, _ = max(found, key=lambda row: row[0])
        seconds = time.perf_counter() - start
        rows.append(
            [
                name,
                str(len(found)),
                " ".join(forms),
                f"{worst:.1e}",
                f"{scale:.2f}",
                f"{seconds:.0f}",
            ]
        )
        print_table([rows[0], rows[-1]])


@torch.no_grad()
def difference(name: str, seed: int) -> tuple[float, float, set[str]]:
    """The largest difference of one grouping, the outputs' scale, and the forms of its layers."""
    space = load_space(name)
    torch.manual_seed(seed)
    net = randomised(Supernet(space)).eval()
    net.set_grouping(Grouping.random(space, seed))
    deployed = derive(net, planner=PLANNER)
    batch = None if seed % 2 else 4
    x = torch.randn(4, sum(space.inputs.values()), *space.input_size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        export_onnx(deployed, file, batch=batch)
        (found,) = open_session(file).run(None, {"x": x.numpy()})
    expected = net(x)
    worst = (torch.from_numpy(found) - expected).abs().max().item()
    return worst, expected.abs().max().item(), {plan.form for plan in deployed.plan.layers}


if __name__ == "__main__":
    PLANNER = LayoutPlanner()
    main()
