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
SECONDS = 170
pytestmark = pytest.mark.timeout(SECONDS + 10)


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
    service = re.search(r"python app\.py --weights model\.safetensors --port ([1-9]\d+)", quickstart.done.stdout)
    assert service is not None
    listeners = Path("/proc/net/tcp")
    if listeners.exists():
        for port in (int(hub[1]), int(service[1])):
            assert f":{port:04X} 00000000:0000 0A" not in listeners.read_text()


def test_versions_cost_what_changed(quickstart: Quickstart) -> None:
    size, moved, stats = (quickstart.facts[key] for key in ("size", "moved", "stats"))
    assert moved["push 2.0"] < 0.75 * size
    assert moved["pull 2.0"] <= 1.02 * moved["push 2.0"]
    assert moved["push 2.1"] < 0.1 * size
    assert stats["objects"] == 8
    assert stats["logical_bytes"] > 7.99 * size
    assert stats["stored_bytes"] < 0.5 * stats["logical_bytes"]
    assert stats["by_repository"][0]["stored_bytes"] == stats["stored_bytes"]
    assert quickstart.facts["disk"]["hub"] < stats["stored_bytes"] + 1_000_000
    assert quickstart.facts["disk"]["clone"] < 2 * size


def test_the_app_answers_with_each_version(quickstart: Quickstart) -> None:
    shown = quickstart.done.stdout
    versions = re.findall(r'\{"sha256": "([0-9a-f]{64})"', shown)
    versions = versions[:4]
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


def test_two_experiments_are_recorded_and_compared(quickstart: Quickstart) -> None:
    shown = quickstart.done.stdout
    assert "- Hyperparameters: epochs=8, lr=0.1, batch_size=128, seed=0, shift=1, noise=0.0\n" in shown
    assert "    Dataset: data@v1\n" in shown
    assert re.search(r"^    lr +0\.02 +0\.1$", shown, re.MULTILINE)
    assert re.search(r"^    test_accuracy +0\.\d+ +0\.\d+  \+0\.\d+ ", shown, re.MULTILINE)
    assert "digits-lr=0.02 -> digits-lr=0.1: 6 changed of 6 tensors\n" in shown
    assert "    wrote curves.svg\n" in shown


def test_a_release_tells_what_is_behind_it(quickstart: Quickstart) -> None:
    shown = quickstart.done.stdout
    assert "    released digits@v1.0.0 at " in shown
    assert re.search(r"^    digits#prod is digits@v1\.0\.0 now \(digits#prod#1\)$", shown, re.MULTILINE)
    assert re.search(r"^      data +v1 +v1\.1$", shown, re.MULTILINE)
    assert "rows: 242 added (1,555 -> 1,797)" in shown


def test_what_serves_is_what_was_deployed(quickstart: Quickstart) -> None:
    """v1.0.0; then v1.1.0 by mistake; v1.0.0 again by hand, and still after a deployment that its health check stopped."""
    first, mistake, back, still = quickstart.facts["served"]
    assert first == back == still != mistake
    shown = quickstart.done.stdout
    deployments = [line.split() for line in shown.split("cwt deployments --to live\n", 1)[1].splitlines()[1:5]]
    assert [(line[0], line[3].rstrip("*"), line[5].rstrip(",")) for line in deployments] == [
        ("1", "digits@v1.0.0", "served"),
        ("2", "digits@v1.1.0", "served"),
        ("3", "digits@v1.0.0", "serving"),
        ("4", "digits@v1.1.0", "failed"),
    ]
    assert "; went back to '1-digits@v1.0.0'\n" in shown
    assert 0 < quickstart.facts["moved"]["deploy v1.1.0"] < quickstart.facts["size"]
    assert quickstart.facts["seconds"]["roll back"] < 10


def test_the_gate_finds_pointers_and_a_wrong_version(quickstart: Quickstart) -> None:
    gate = quickstart.done.stdout.split("== The gate", 1)[1]
    assert "model.safetensors is still a pointer" in gate.split("cwt init", 1)[0]
    assert "[pointer]" not in gate.split("cwt verify --remote", 1)[1]
    assert re.search(r"error: .*digits@v1\.1\.0", gate.split("--against prod", 1)[1])
    assert "## Model report: `HEAD` (" in gate
