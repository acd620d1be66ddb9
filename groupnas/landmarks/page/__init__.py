"""Cascades and evaluations on the page of a report."""
