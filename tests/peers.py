"""Programs of others in the venv that `make .peers/lifecycle/ready` makes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BIN = Path(__file__).parents[1] / ".peers" / "lifecycle" / "bin"


def lifecycle(program: str) -> str:
    """The path of `gto`, `model_signing` and their like; skips the test where they are not installed."""
    found = BIN / program
    if not os.access(found, os.X_OK):
        pytest.skip(f"no {program}: run 'make .peers/lifecycle/ready'")
    return str(found)
