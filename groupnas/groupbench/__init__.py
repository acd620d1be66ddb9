"""GroupBench: every grouping of a small network was trained, so that a search is judged at once.

    bench = load_groupbench()
    grouping = fit(bench.space(), sizes, FIT)
    bench.errors(grouping)  # {"left_eye": ..., "nose": ..., "mouth": ..., "mean": ...}
    bench.regret(grouping)  # against the best grouping of the same cost

A group's error depends on its own sizes and the seed alone (:mod:`groupnas.tabular.training`),
so that 70 sizes of 3 groups describe all groupings: the 1,540 of the space's widths, and 343,000
size vectors of any widths. The faces are drawn: the table says how a search does, nothing
about real faces. ``benchmarks/groupbench_table.py`` makes it.
"""

from groupnas.groupbench.bench import GroupBench, load_groupbench
from groupnas.tabular.bench import FIT, Choices, Curve
from groupnas.tabular.table import Table

__all__ = ["FIT", "Choices", "Curve", "GroupBench", "Table", "load_groupbench"]
