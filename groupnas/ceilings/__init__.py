"""The ceiling: what a search can gain over even groups, said before hours are spent on one.

    print(gn.ceiling("runs/knapsack"))   # from a finished run
    print(gn.ceiling(Measurements(...)))  # from numbers of your own

``measurements`` holds the errors of groups at several costs, ``sources`` where they come from;
``curves`` fits E_p = E_inf + a c^-b to them and says how sure that is, ``gains`` solves for the
best split, ``power`` counts seeds, and ``ceiling`` answers.
"""

from groupnas.ceilings.ceiling import Ceiling, Estimate, Lever, ceiling
from groupnas.ceilings.measurements import Measurements
from groupnas.ceilings.sources import has_measurements, on_table, read_measurements

__all__ = [
    "Ceiling",
    "Estimate",
    "Lever",
    "Measurements",
    "ceiling",
    "has_measurements",
    "on_table",
    "read_measurements",
]
