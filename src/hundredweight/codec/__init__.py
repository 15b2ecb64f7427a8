"""Tensor bytes to blocks and back: pure, bytes in and bytes out."""
