"""Deployments of a sharded model whose objects are on LFS servers that others wrote, pushed by stock git-lfs, too."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploying import Site
from tests.e2e.lfs_servers import LfsServer
from tests.e2e.test_interop_servers import user
from tests.people import PROGRAMS

pytestmark = pytest.mark.peer
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
INDEX = "model.safetensors.index.json"


@pytest.fixture(params=["dulwich", "giftless-jwt"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LfsServer]:
    kind: str = request.param
    running = LfsServer(kind, tmp_path)
    yield running
    running.stop()


@pytest.mark.parametrize("stock", [False, True], ids=["ours", "stock"])
def test_a_sharded_model(stock: bool, server: LfsServer, stock_git_lfs: Path, tmp_path: Path) -> None:
    ada = user(tmp_path, "ada", server, stock_git_lfs if stock else PROGRAMS)
    ada.git("init", "-q", "--bare", "git.git")
    work = ada.repository("work")
    ada.git("lfs", "track", "*.safetensors", "*.pt", cwd=work)
    ada.git("config", "-f", ".lfsconfig", "lfs.url", server.url, cwd=work)
    ada.git("remote", "add", "origin", str(ada.home / "git.git"), cwd=work)
    weights = {name: random.Random(name).randbytes(300_000) for name in SHARDS}
    index = json.dumps({"weight_map": {f"layer.{place}": name for place, name in enumerate(SHARDS)}}).encode()
    others = {"checkpoint/optimizer.pt": os.urandom(200_000), "big.txt": b"x" * 100_000}
    ada.commit(work, {**weights, INDEX: index, **others}, "one")
    ada.git("tag", "v1.0.0", cwd=work)
    # Of the next version one shard differs.
    weights[SHARDS[1]] = os.urandom(300_000)
    ada.commit(work, {SHARDS[1]: weights[SHARDS[1]]}, "two")
    ada.git("tag", "-a", "-m", "two", "v1.1.0", cwd=work)
    ada.git("push", "-q", "origin", "main", "--tags", cwd=work)
    site = Site(user(tmp_path, "eve", server), str(ada.home / "git.git"))
    for version, fetched in (("v1.0.0", 900_000), ("v1.1.0", 300_000)):
        site.deploy(version, "--include", "*.safetensors", "--include", "*.index.json")
        assert sorted(os.listdir(site.folder / "current")) == sorted([*SHARDS, INDEX])
        assert site.told["deployments"][-1]["fetched"] == fetched
    assert {name: site.content(name) for name in SHARDS} == weights
    assert site.content(INDEX) == index
    stored = [path.stat().st_size for path in (site.folder / "store" / "lfs" / "objects").rglob("*") if path.is_file()]
    assert sorted(stored) == [300_000] * 4
    site.rollback()
    assert site.content(SHARDS[1]) != weights[SHARDS[1]]
