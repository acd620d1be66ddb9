"""The cascade's speed beside that of the networks its literature compares with.

    python benchmarks/against_peers.py --cascade cascade.onnx --global g.onnx --local l.onnx

Exports ResNet-50, HRNet-W18 and the four-stack hourglass (benchmarks/peers.py) to a temporary
folder, or takes them from --peers, and lets all take turns in ONNX Runtime on the CPU. Ratios are
to the cascade, crops included; without one, to the first model of the run. Given both networks
too, says what share of the cascade's time its crops and all else take.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from peers import PEERS, export  # beside this file

from groupnas.cli.tables import print_table
from groupnas.deploy.bench import Bench, TimedRow, bench
from groupnas.writing import write_text

PAPER = {"ResNet-50": 6.18, "HRNet-W18": 10.25, "hourglass": 19.96}  # PicassoNet, Section IV-C
ROUNDS = (5, 200)  # least and most


def peer_files(folder: Path) -> dict[str, Path]:
    """The peers' ONNX files, exported where they are missing."""
    found = {}
    for name, peer in PEERS.items():
        found[name] = folder / f"{name.lower()}.onnx"
        if not found[name].exists():
            print(f"exporting {name}", file=sys.stderr)
            export(peer, found[name])
    return found


def timed(models: dict[str, Path], threads: int, seconds: float) -> Bench:
    """All models side by side, in as many rounds as the time allows."""
    probe = bench(models, threads=[threads], rounds=1, warm_up=1)
    least_ms = sum(max(row.timing.least, 2.0) for row in probe.rows)  # a turn takes 2 ms or more
    rounds = min(max(math.floor(1e3 * seconds / least_ms), ROUNDS[0]), ROUNDS[1])
    return bench(models, threads=[threads], rounds=rounds, warm_up=2)


def crops_share(rows: Sequence[TimedRow]) -> float | None:
    """The share of the cascade's time outside of its networks; None without all three."""
    least = {row.model: row.timing.least for row in rows}
    if not {"cascade", "global", "local"} <= least.keys():
        return None
    return 1 - (least["global"] + least["local"]) / least["cascade"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cascade", type=Path, help="from an image and a box to landmarks")
    parser.add_argument("--global", type=Path, dest="whole", help="its global network alone")
    parser.add_argument("--local", type=Path, help="its local network alone")
    parser.add_argument("--peers", type=Path, help="a folder that keeps the peers' ONNX files")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=60, help="for each number of threads")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    own = {"cascade": options.cascade, "global": options.whole, "local": options.local}
    with tempfile.TemporaryDirectory() as folder:
        models = {name: path for name, path in own.items() if path is not None}
        models.update(peer_files(options.peers or Path(folder)))
        found = [timed(models, threads, options.seconds) for threads in options.threads]
    header, *_ = found[0].table()
    rows = [row for one in found for row in one.rows]
    lines = [line for one in found for line in one.table()[1:]]
    published = [f"{PAPER[row.model]:.2f}" if row.model in PAPER else "" for row in rows]
    print(f"{found[0].machine}, {found[0].runtime}")
    print_table(
        [[*header, "paper"], *([*line, text] for line, text in zip(lines, published, strict=True))],
        numbers=True,
    )
    shares = {}
    for threads, one in zip(options.threads, found, strict=True):
        share = shares[threads] = crops_share(one.rows)
        if share is not None:
            print(
                f"--threads {threads}: crops and the rest take {100 * share:.1f} % of the cascade"
            )
    if options.json:
        told = {"runs": [one.to_dict() for one in found], "outside_networks": shares}
        write_text(options.json, json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
