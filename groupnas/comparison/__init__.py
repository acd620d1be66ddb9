"""Strategies compared honestly: the same data, cost, training and seeds, and how sure it is."""

from groupnas.comparison.evidence import Evidence
from groupnas.comparison.summary import read_comparison
from groupnas.comparison.tables import Comparison

__all__ = ["Comparison", "Evidence", "read_comparison"]
