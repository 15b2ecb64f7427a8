"""Experiments: run, recorded, listed, compared, drawn, applied, shared."""
