"""Strategies compared honestly: the same data, cost, training and seeds, and how sure it is."""

from groupnas.comparison.summary import Comparison, read_comparison

__all__ = ["Comparison", "read_comparison"]
