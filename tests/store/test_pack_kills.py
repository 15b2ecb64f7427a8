"""Killed at any moment of packing, unpacking and repacking: every object is still there, and the packs are sound."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("rounds", [10, pytest.param(200, marks=pytest.mark.full)])
def test_nothing_is_lost(tmp_path: Path, rounds: int) -> None:
    seed = random.randrange(1 << 30)
    command = [sys.executable, "-m", "tests.store.kill_rounds", str(tmp_path), str(rounds), str(seed)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    assert done.stdout.startswith(f"rounds: {rounds}")
    left = [path.name for path in (tmp_path / "packs").iterdir() if path.suffix != ".pack"]
    assert left == ["lock"], "temporary files stand elsewhere"
