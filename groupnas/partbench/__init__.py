"""PartBench: drawn parts whose difficulty is a knob, so small that optimum and ceiling are known.

    bench = load_partbench(ratio=8, parts=4)
    best, error = bench.optimum()
    even = Allocation.even(bench.space())
    bench.errors(even, split="test")["mean"] / error - 1  # what there is to gain

Where parts are alike nothing is to be gained by dividing channels unevenly; how much must they
differ for it to pay? A part's difficulty is the number of ways in which it is deformed
(:mod:`groupnas.partbench.drawing`), and its error depends on difficulty, sizes and the draw of its
samples alone (:mod:`groupnas.tabular.training`): a table of nine difficulties and 100 sizes
describes all networks of any parts. ``benchmarks/partbench_table.py`` makes it.
"""

from groupnas.partbench.bench import LEVELS, PartBench, load_partbench

__all__ = ["LEVELS", "PartBench", "load_partbench"]
