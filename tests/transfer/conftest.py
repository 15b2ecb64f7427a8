"""A clone with a store, and a scripted LFS server for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transfer.faulty import FaultyServer
from tests.transfer.rig import Rig


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def rig(tmp_path: Path, git_env: dict[str, str], faulty: FaultyServer) -> Rig:
    subprocess.run(["git", "init", "-q", str(tmp_path / "clone")], check=True, env=git_env)
    return Rig(tmp_path / "clone", git_env, faulty.url)
