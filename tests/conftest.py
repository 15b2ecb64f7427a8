"""Fixtures for everybody: nothing of the developer's own git reaches a test; a real hub is one fixture away."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.people import isolated
from tests.running_hub import RunningHub

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def _isolated_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The test process itself sees a home of its own, as do the programs it starts without saying otherwise."""
    before = dict(os.environ)
    alone = isolated(tmp_path_factory.mktemp("home"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # In the background of a shell; programs that tests interrupt would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(alone)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def git_env(tmp_path: Path) -> dict[str, str]:
    """A process environment with a home in this test's folder, git configured, and our programs first on PATH."""
    return isolated(tmp_path / "home")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A running hub, shared by the tests of one worker: take repositories from `hub.new_name()`, and stop nothing."""
    running = RunningHub(tmp_path_factory.mktemp("hub")).start()
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[RunningHub]:
    """A running hub for one test alone, which may stop and start it."""
    running = RunningHub(tmp_path).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def stock_git_lfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH whose `git-lfs` is the stock one: CWT_STOCK_GIT_LFS, or what `make .peers/git-lfs` fetched."""
    named = os.environ.get("CWT_STOCK_GIT_LFS", "")
    program = Path(named) if named else ROOT / ".peers" / "git-lfs"
    if not os.access(program, os.X_OK):
        pytest.skip(f"no stock git-lfs at '{program}': run 'make .peers/git-lfs' or set CWT_STOCK_GIT_LFS")
    folder = tmp_path_factory.mktemp("stock")
    (folder / "git-lfs").symlink_to(shutil.which(program) or program)
    return folder
