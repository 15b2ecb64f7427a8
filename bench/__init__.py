"""Measurements against the programs of others, side by side in one run."""
