"""The comparison's own parts: versions pass a counting link and come back, and the page holds what was found."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.checkpoint8b import Architecture, write_finetune, write_model
from bench.stage import Client, running_hub
from bench.weights.journeys import Team, route, same_bytes
from bench.weights.peers import folder_size
from bench.weights.report import report
from bench.weights.versions import PAIRS, VERSIONS, parents


def test_every_version_but_the_bases_has_a_parent_that_is_made_too() -> None:
    made = {name for name, _ in parents()} | {base for _, base in PAIRS}
    assert len(VERSIONS) == 11
    assert all(base in made or name.startswith("base") for name, base in parents())


def test_a_fine_tune_passes_the_link_and_comes_back(tmp_path: Path) -> None:
    write_model(tmp_path / "one", Architecture().scaled(26_000_000), seed=1)
    write_finetune(tmp_path / "one", tmp_path / "two", seed=1)
    one, two = ({"shard.safetensors": tmp_path / name / "model-00002-of-00004.safetensors"} for name in ("one", "two"))
    client = Client("ours", Path(sys.executable).parent / "git-lfs", tmp_path / "client")
    client.prepare()
    with running_hub(tmp_path) as hub, route(hub, 0) as way:
        team = Team(client, hub, tmp_path / "team")
        team.start(one)
        assert team.commit(two) > 0
        push, pull = team.push(way), team.pull(way)
        team.check(team.follower, two)
        assert way.link is not None
        assert way.link.up.passed >= push.up > 10_000
        assert pull.down > 10_000 > pull.up
        assert folder_size(hub.data) > 100_000


def test_a_difference_in_the_last_byte_is_seen(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(5_000_000) + b"a")
    (tmp_path / "two").write_bytes(bytes(5_000_000) + b"b")
    assert not same_bytes(tmp_path / "one", tmp_path / "two")
    assert same_bytes(tmp_path / "one", tmp_path / "one")


def test_the_page_says_what_is_missed_and_leaves_out_what_was_not_run() -> None:
    history = {"raw": 1000, "stored": 140, "local": 90}
    rows = [{"version": "lastlayer", "stored": 2_000_000, "up": 1_000_000, "down": 2_100_000}]
    ours, stock = ({"seconds": seconds, "up": 3e6, "down": 1e6, "runs": 1} for seconds in (5.0, 10.0))
    link = {"size": 10**9, "operations": {"push": {"ours": ours, "stock": stock}}}
    found = {"history bf16": {**history, "rows": rows}, "100 Mbit/s": link}
    page = report(found, "git-lfs/3.3.0", joined=False)
    assert "| Hundredweight, the hub's folder |  | 14.0 |" in page
    assert "13.5 missed" in page
    assert "| lastlayer | bf16 | 2.00 | 1.00 | 0.500 | 2.10 | 1.050 |" in page
    assert "| 100 Mbit/s | 1.00 | 1 | push | 5.00 | 10.00 | 0.50 | 0.45 missed | 4 | 4 |" in page
    assert "codec" not in page
    assert "one by one" not in page
    assert "Its parts ran one by one" in report(found, "git-lfs/3.3.0", joined=True)
