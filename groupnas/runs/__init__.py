"""Runs: what they leave behind, how they begin and go on, and what can be done with them."""
