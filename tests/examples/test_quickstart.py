"""The quickstart, as `make quickstart` runs it: what it claims is so, and nothing of it stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 100


class Quickstart:
    """One run, in a temporary folder whose path has a space, with a home without git's configuration."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary files"
        self.temporary.mkdir()
        (folder / "home").mkdir()
        env = {**os.environ, "TMPDIR": str(self.temporary), "HOME": str(folder / "home")}
        facts = folder / "facts.json"
        command = [sys.executable, "-m", "tools.quickstart", "--facts", str(facts)]
        self.done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert self.done.returncode == 0, self.done.stdout + self.done.stderr
        self.facts: dict[str, Any] = json.loads(facts.read_text())


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    return Quickstart(tmp_path_factory.mktemp("quickstart"))


def test_it_ends_in_time_and_leaves_nothing(quickstart: Quickstart) -> None:
    assert quickstart.done.stdout.endswith("which is gone now\n")
    assert "quickstart: success" in quickstart.done.stdout
    assert quickstart.facts["seconds"]["all"] < SECONDS
    assert list(quickstart.temporary.iterdir()) == []
    hub = re.search(r"cwt hub serve.*\n +listening on http://127\.0\.0\.1:(\d+)", quickstart.done.stdout)
    assert hub is not None
    listeners = Path("/proc/net/tcp")
    if listeners.exists():
        assert f":{int(hub[1]):04X} 00000000:0000 0A" not in listeners.read_text()


def test_versions_cost_what_changed(quickstart: Quickstart) -> None:
    size, moved, stats = (quickstart.facts[key] for key in ("size", "moved", "stats"))
    assert moved["push 2.0"] < 0.75 * size
    assert moved["pull 2.0"] <= 1.02 * moved["push 2.0"]
    assert moved["push 2.1"] < 0.1 * size
    assert stats["objects"] == 5
    assert stats["logical_bytes"] > 4.99 * size
    assert stats["stored_bytes"] < 0.4 * stats["logical_bytes"]
    assert stats["by_repository"][0]["stored_bytes"] == stats["stored_bytes"]
    assert quickstart.facts["disk"]["hub"] < stats["stored_bytes"] + 1_000_000
    assert quickstart.facts["disk"]["clone"] < 2 * size


def test_the_app_answers_with_each_version(quickstart: Quickstart) -> None:
    shown = quickstart.done.stdout
    versions = re.findall(r'\{"sha256": "([0-9a-f]{64})"', shown)
    assert len(versions) == 4
    assert len(set(versions)) == 3
    assert versions[0] == versions[3]
    assert len(re.findall(r'\{"digit": 5, "probability": 0\.', shown)) == 4


def test_every_kind_of_command_is_shown(quickstart: Quickstart) -> None:
    shown = quickstart.done.stdout
    commands = {" ".join(words) for words in re.findall(r"^(?:\w+ )?\$ (git|cwt|python) (\S+)", shown, re.MULTILINE)}
    wanted = "cwt inspect, cwt id, cwt clone, cwt diff, cwt du, git log, git merge, git pull, git push, git checkout"
    assert commands >= set(wanted.split(", "))
    assert "  tensors: 6 changed, 0 unchanged\n" in shown
    assert re.search(r"^    [+]layers\.1\.weight F32 1536x1536 [0-9a-f]{16}$", shown, re.MULTILINE)
