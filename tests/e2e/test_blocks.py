"""Weights move as deltas between clones with packs and a hub, and every byte comes back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hundredweight.client.init import agent_config
from tests.people import PROGRAMS, Person
from tests.running_hub import RunningHub

ROWS, COLUMNS = 2048, 512


def weights(version: int) -> bytes:
    """A safetensors file of 4 MiB and some; each version moves every element of the first tensor by a little."""
    start = np.random.default_rng(1).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    steps = np.random.default_rng(2).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    moved = (start + np.float32(1e-6) * version * steps).astype("<f4").tobytes()
    fixed = np.random.default_rng(3).standard_normal(100_000, dtype=np.float32).tobytes()
    header = json.dumps(
        {
            "layer.weight": {"dtype": "F32", "shape": [ROWS, COLUMNS], "data_offsets": [0, len(moved)]},
            "other.weight": {"dtype": "F32", "shape": [100_000], "data_offsets": [len(moved), len(moved) + len(fixed)]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + moved + fixed


@pytest.fixture
def ada(own_hub: RunningHub, tmp_path: Path) -> Person:
    return person(own_hub, tmp_path, "ada")


def person(hub: RunningHub, folder: Path, name: str, programs: Path = PROGRAMS) -> Person:
    made = Person(name, folder / name, programs)
    made.login(hub.url, hub.token)
    made.run("git", "lfs", "install", "--skip-repo")
    return made


def traffic(hub: RunningHub, method: str, pattern: str) -> int:
    """Bytes of requests of that kind so far: received for PUT, sent for others."""
    count = 0
    for line in hub.log.splitlines():
        if f"method={method} " in line and re.search(pattern, line):
            found = re.search(r"received=(\d+)" if method == "PUT" else r"bytes=(\d+)", line)
            count += int(found[1]) if found else 0
    return count


def test_versions_travel_as_deltas_both_ways(own_hub: RunningHub, ada: Person, tmp_path: Path) -> None:
    url = f"{own_hub.url}/team/model.git"
    work = ada.home / "work"
    ada.run("git", "init", "-q", str(work))
    ada.run("cwt", "init", cwd=work)
    ada.run("git", "remote", "add", "origin", url, cwd=work)
    versions = [weights(number) for number in range(1, 4)]
    bob = person(own_hub, tmp_path, "bob")
    clone = bob.home / "clone"
    for number, data in enumerate(versions, 1):
        (work / "model.safetensors").write_bytes(data)
        ada.run("git", "add", "-A", cwd=work)
        ada.run("git", "commit", "-qm", f"version {number}", cwd=work)
        before = traffic(own_hub, "PUT", "/blocks/")
        ada.run("git", "push", "-q", "origin", "main", cwd=work)
        sent = traffic(own_hub, "PUT", "/blocks/") - before
        assert 0 < sent < len(data) * (1.0 if number == 1 else 0.5)
        before = traffic(own_hub, "POST", "/blocks/segments")
        if number == 1:
            bob.run("cwt", "clone", "-q", url, str(clone))
        else:
            bob.run("git", "pull", "-q", cwd=clone)
        came = traffic(own_hub, "POST", "/blocks/segments") - before
        assert (clone / "model.safetensors").read_bytes() == data
        assert abs(came - sent) < 0.02 * sent + 4096
    assert traffic(own_hub, "GET", r"/objects/[0-9a-f]{64} ") == 0
    for folder in (work, clone):
        stored = [path for path in (folder / ".git" / "lfs").rglob("*") if path.is_file()]
        assert not [path for path in stored if path.parent.name != "packs" and path.stat().st_size > 100_000]
        assert sum(path.stat().st_size for path in stored) < 2.2 * len(versions[0])
    for number, data in enumerate(versions, 1):
        bob.run("git", "checkout", "-q", f"HEAD~{3 - number}", cwd=clone)
        assert (clone / "model.safetensors").read_bytes() == data
        bob.run("git", "checkout", "-q", "main", cwd=clone)


def test_stock_git_lfs_moves_deltas_with_our_agent(own_hub: RunningHub, stock_git_lfs: Path, tmp_path: Path) -> None:
    """Only configuration: the client is the stock one, on both sides."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git-lfs").symlink_to((stock_git_lfs / "git-lfs").resolve())
    (programs / "cwt").symlink_to(PROGRAMS / "cwt")
    ada = person(own_hub, tmp_path, "ada", programs)
    bob = person(own_hub, tmp_path, "bob", programs)
    for somebody in (ada, bob):
        for key, value in agent_config():
            somebody.git("config", "--global", key, value)
    url = f"{own_hub.url}/team/model.git"
    work, clone = ada.repository("work"), bob.home / "clone"
    ada.git("lfs", "track", "*.safetensors", cwd=work)
    ada.git("remote", "add", "origin", url, cwd=work)
    for number in (1, 2):
        data = weights(number)
        ada.commit(work, {"model.safetensors": data})
        before = traffic(own_hub, "PUT", "/blocks/")
        ada.git("push", "-q", "origin", "main", cwd=work)
        sent = traffic(own_hub, "PUT", "/blocks/") - before
        before = traffic(own_hub, "POST", "/blocks/segments")
        if number == 1:
            bob.git("clone", "-q", url, str(clone))
        else:
            bob.git("pull", "-q", cwd=clone)
        came = traffic(own_hub, "POST", "/blocks/segments") - before
        assert (clone / "model.safetensors").read_bytes() == data
    assert 0 < sent < 0.5 * len(weights(2))
    assert abs(came - sent) < 0.02 * sent + 4096
    assert bob.git("lfs", "fsck", cwd=clone) == "Git LFS fsck OK"


def test_a_clone_without_weights_sees_which_tensors_changed(own_hub: RunningHub, ada: Person, tmp_path: Path) -> None:
    url = f"{own_hub.url}/team/model.git"
    work = ada.home / "work"
    ada.run("git", "init", "-q", str(work))
    ada.run("cwt", "init", cwd=work)
    ada.git("remote", "add", "origin", url, cwd=work)
    for number in (1, 2):
        ada.commit(work, {"model.safetensors": weights(number)})
        ada.git("push", "-q", "origin", "main", cwd=work)
    bob = person(own_hub, tmp_path, "bob")
    clone = bob.home / "clone"
    bob.git("clone", "-q", url, str(clone), GIT_LFS_SKIP_SMUDGE="1")
    before = traffic(own_hub, "POST", "/blocks/segments") + traffic(own_hub, "GET", r"/objects/[0-9a-f]{64} ")
    found = json.loads(bob.run("cwt", "diff", "--json", "--stat", "HEAD~1", "HEAD", cwd=clone).stdout)
    (model,) = found["models"]
    assert [(each["name"], each["change"]) for each in model["tensors"]] == [("layer.weight", "changed")]
    after = traffic(own_hub, "POST", "/blocks/segments") + traffic(own_hub, "GET", r"/objects/[0-9a-f]{64} ")
    assert after == before
