"""Runs: the files they leave, how they begin and resume, and what can be done with them."""
