"""Tabular benchmarks: every size of every part was trained, so that a search is judged at once.

A group's error depends on its own sizes and its training alone (:mod:`groupnas.tabular.training`),
so that a table of parts and sizes describes all groupings. :class:`TabularBench` is what
:mod:`groupnas.groupbench` and :mod:`groupnas.partbench` have in common.
"""
