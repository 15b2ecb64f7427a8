"""Hundredweight: Git for model weights. The package opens with its version only, so that hooks start fast."""

__version__ = "0.1.0"
