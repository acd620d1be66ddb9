"""How close models come to what this machine can do, and where the rest of their time goes.

    python benchmarks/matrix_peak.py global.onnx local.onnx [--threads 1 2] [--profile]

Peak is the best of some large float32 matrix products in ONNX Runtime; convolutions of common
shapes, alone, say what is in reach of networks. Both, and the models, take turns in one run.
GFLOP/s are two per multiply-accumulate (MAC). A model's MACs are counted from its graph, what was
padded included; FILE=9.26e6 says how many count instead. With --profile, ONNX Runtime's profiler
tells each model's time by kind of operator.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groupnas.cli.tables import print_table
from groupnas.deploy.bench import bench, named
from groupnas.deploy.bench_inputs import GivenInputs, draw_feed, read_ports
from groupnas.onnx_tools import import_onnx, import_runtime, open_session
from groupnas.writing import write_text

SIZES = (256, 512, 1024)  # of square matrices
CONVOLUTIONS = {  # channels in, out, kernel, groups, side
    "3x3, 64 channels, 56 x 56": (64, 64, 3, 1, 56),
    "3x3, 256 channels, 14 x 14": (256, 256, 3, 1, 14),
    "1x1, 256 channels, 28 x 28": (256, 256, 1, 1, 28),
    "1x1, 128 channels, 8 x 8": (128, 128, 1, 1, 8),
    "depthwise 3x3, 128 channels, 16 x 16": (128, 128, 3, 128, 16),
}


# -- operations, from the graph -----------------------------------------------------------------


def node_macs(path: Path) -> dict[str, int]:
    """MACs of every Conv, Gemm and MatMul of an ONNX file for one sample, by the node's name.

    Padded channels count: they are computed. Open sizes of outputs count as 1.
    """
    onnx = import_onnx()
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    shapes: dict[str, Sequence[int]] = {
        value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    shapes.update({weight.name: weight.dims for weight in graph.initializer})
    return {
        node.name or node.output[0]: macs
        for node in graph.node
        if (macs := _macs(node.op_type, [shapes.get(name) for name in node.input], shapes, node))
    }


def _macs(op: str, inputs: Sequence[Any], shapes: Mapping[str, Sequence[int]], node: Any) -> int:
    if op not in ("Conv", "Gemm", "MatMul"):
        return 0
    if any(shape is None for shape in inputs[:2]) or node.output[0] not in shapes:
        raise ValueError(f"{op} {node.name}: its shapes are unknown")
    outputs = math.prod(shapes[node.output[0]])
    if op == "Conv":  # a weight is (outputs, inputs of a group, kernel...)
        return outputs * math.prod(inputs[1][1:])
    transposed = any(field.name == "transA" and field.i for field in node.attribute)
    return outputs * inputs[0][-2 if transposed else -1]


def total_macs(path: Path) -> int:
    """MACs of an ONNX file for one sample."""
    return sum(node_macs(path).values())


# -- what the machine can do --------------------------------------------------------------------


def single_nodes(folder: Path) -> dict[str, Path]:
    """One ONNX file for each matrix product and convolution that says what is in reach."""
    found = {}
    for size in SIZES:
        name = f"matrix product, {size}"
        found[name] = _save(folder / f"matrix-{size}.onnx", "MatMul", [1, size, size], [size, size])
    for name, (a, b, kernel, groups, side) in CONVOLUTIONS.items():
        found[name] = _save(
            folder / f"conv-{len(found)}.onnx",
            "Conv",
            [1, a, side, side],
            [b, a // groups, kernel, kernel],
            group=groups,
            pads=[kernel // 2] * 4,
        )
    return found


def _save(path: Path, op: str, x: list[int], weight: list[int], **attributes: Any) -> Path:
    onnx = import_onnx()
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    values = np.random.default_rng(0).standard_normal(weight).astype(np.float32)
    output = x if op == "MatMul" else [x[0], weight[0], *x[2:]]
    graph = make.make_graph(
        [make.make_node(op, ["x", "w"], ["y"], name="node", **attributes)],
        "single",
        [make.make_tensor_value_info("x", kind, x)],
        [make.make_tensor_value_info("y", kind, output)],
        [onnx.numpy_helper.from_array(values, "w")],
    )
    opset = [make.make_opsetid("", 18)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


# -- where the time goes ------------------------------------------------------------------------


def profile(path: Path, threads: int, runs: int = 50) -> dict[str, tuple[int, float, int]]:
    """By kind of operator: nodes, milliseconds of a call (medians of the nodes), MACs as run.

    Channels that ONNX Runtime pads to whole blocks are among the MACs.
    """
    runtime = import_runtime()
    ports = read_ports(path.name, open_session(path))
    feed = draw_feed(path.name, ports, 1, GivenInputs({}, {}))
    with tempfile.TemporaryDirectory() as folder:
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    known = node_macs(path)
    times: dict[str, list[float]] = defaultdict(list)
    kinds: dict[str, tuple[str, int]] = {}
    for event in events:
        if event["cat"] != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = event["name"].removesuffix("_kernel_time")
        key = f"{name} {event['args']['node_index']}"
        times[key].append(event["dur"] / 1e3)
        kinds[key] = _kind(name, event["args"], known)
    found: dict[str, tuple[int, float, int]] = defaultdict(lambda: (0, 0.0, 0))
    for key, (kind, macs) in kinds.items():
        nodes, ms, so_far = found[kind]
        found[kind] = nodes + 1, ms + statistics.median(times[key]), so_far + macs
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def _kind(name: str, event: Mapping[str, Any], known: Mapping[str, int]) -> tuple[str, int]:
    """What a node that ran is called in the summary, and its MACs."""
    op = event["op_name"]
    shapes = [next(iter(one.values())) for one in event["input_type_shape"] if one]
    if op not in ("Conv", "FusedConv") or len(shapes) < 2 or len(shapes[1]) != 4:
        return op, known.get(name, 0)
    weight, inputs = shapes[1], shapes[0][1]
    outputs = next(iter(event["output_type_shape"][0].values()))
    groups = inputs // weight[1] if weight[1] < inputs else 1
    layout = "blocked" if name.endswith("_nchwc") else "plain"
    sort = "dense" if groups == 1 else "depthwise" if weight[1] == 1 else "grouped"
    return (
        f"{layout} {sort} {weight[2]}x{weight[3]}",
        math.prod(outputs) * math.prod(weight[1:]),
    )


# -- the script ---------------------------------------------------------------------------------


def measure(
    models: Mapping[str, Path], macs: Mapping[str, float], threads: int, rounds: int
) -> tuple[float, list[dict[str, Any]]]:
    """The peak in GFLOP/s, and for each node and model its time and share of that peak."""
    with tempfile.TemporaryDirectory() as folder:
        nodes = single_nodes(Path(folder))
        counts = {**{name: total_macs(path) for name, path in nodes.items()}, **macs}
        found = bench({**nodes, **models}, threads=[threads], rounds=rounds)
    speeds = {row.model: 2e-6 * counts[row.model] / row.timing.least for row in found.rows}
    peak = max(speed for name, speed in speeds.items() if name.startswith("matrix"))
    return peak, [
        {
            "model": row.model,
            "threads": threads,
            "macs": counts[row.model],
            "least_ms": row.timing.least,
            "median_ms": row.timing.median,
            "gflops": speeds[row.model],
            "of_peak": speeds[row.model] / peak,
        }
        for row in found.rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="FILE.onnx, or FILE.onnx=MACS")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="time by kind of operator, too")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    given = [text.partition("=") for text in options.models]
    models = named([Path(path) for path, _, _ in given])
    macs = {
        name: float(text) if text else total_macs(models[name])
        for name, (_, _, text) in zip(models, given, strict=True)
    }
    table = [["", "threads", "M MACs", "ms", "GFLOP/s", "of peak"]]
    told: dict[str, Any] = {"peak_gflops": {}, "rows": [], "profiles": {}}
    for threads in options.threads:
        peak, rows = measure(models, macs, threads, options.rounds)
        told["peak_gflops"][threads] = peak
        told["rows"] += rows
        for row in rows:
            figures = [f"{row['macs'] / 1e6:.2f}", f"{row['least_ms']:.3f}", f"{row['gflops']:.1f}"]
            table.append([row["model"], str(threads), *figures, f"{100 * row['of_peak']:.0f} %"])
    print_table(table, numbers=True)
    for name, path in models.items() if options.profile else ():
        threads = options.threads[0]
        peak = told["peak_gflops"][threads]
        kinds = told["profiles"][name] = profile(path, threads)
        print(f"\n{name}, {threads} thread{'s' * (threads > 1)}, by kind of operator")
        print_table(_profile_rows(kinds, peak), numbers=True)
    if options.json:
        write_text(options.json, json.dumps(told, indent=2) + "\n")


def _profile_rows(kinds: Mapping[str, tuple[int, float, int]], peak: float) -> list[list[str]]:
    whole = sum(ms for _, ms, _ in kinds.values())
    rows = [["kind", "nodes", "ms", "share", "M MACs", "GFLOP/s", "of peak"]]
    for kind, (nodes, ms, macs) in kinds.items():
        speed = 2e-6 * macs / ms if ms else 0.0
        rate = [f"{macs / 1e6:.2f}", f"{speed:.1f}", f"{100 * speed / peak:.0f} %"]
        share = f"{100 * ms / whole:.0f} %"
        rows.append([kind, str(nodes), f"{ms:.3f}", share, *(rate if macs else ["", "", ""])])
    return rows


if __name__ == "__main__":
    main()
