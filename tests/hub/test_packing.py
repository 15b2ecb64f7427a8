"""Packing on the hub: what came loose becomes small, and nobody who downloads it notices."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hundredweight.base.errors import CwtError
from hundredweight.base.ids import Oid
from hundredweight.hub.admin.service import LocalAdministration
from hundredweight.hub.packs.background import BackgroundPacker
from hundredweight.hub.packs.service import pack_key
from tests.hub.serving import Caller, Served, served, sha256

ROWS, COLUMNS = 1024, 256


def weights(version: int, rows: int = ROWS) -> bytes:
    """A safetensors file of two F32 tensors; each version moves every element of the first by a little."""
    start = np.random.default_rng(1).standard_normal((ROWS + 64, COLUMNS), dtype=np.float32)[:rows]
    steps = np.random.default_rng(2).standard_normal((ROWS + 64, COLUMNS), dtype=np.float32)[:rows]
    moved = (start + np.float32(1e-6) * version * steps).astype("<f4").tobytes()
    fixed = np.random.default_rng(3).standard_normal(100_000, dtype=np.float32).tobytes()
    header = json.dumps(
        {
            "__metadata__": {"version": str(version)},
            "layer.weight": {"dtype": "F32", "shape": [rows, COLUMNS], "data_offsets": [0, len(moved)]},
            "other.weight": {"dtype": "F32", "shape": [100_000], "data_offsets": [len(moved), len(moved) + len(fixed)]},
        }
    ).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + moved + fixed


class Packing:
    """A hub with a packer that works when it is told to."""

    def __init__(self, hub: Served) -> None:
        self.hub = hub
        self.failures: list[CwtError] = []
        self.packer = BackgroundPacker(
            hub.services.store, hub.services.packs, hub.services.activity, self.failures.append
        )
        self.caller = Caller(hub.url, hub.token())

    def loose(self, oid: str) -> bool:
        return self.hub.services.store.local_path(Oid(oid)) is not None

    def packs(self) -> list[Path]:
        return sorted(Path(self.hub.services.settings.objects_folder).rglob("*.pack"))

    def pack_all(self) -> int:
        count = self.packer.pack_all()
        assert self.failures == []
        return count


@pytest.fixture
def packing(tmp_path: Path) -> Iterator[Packing]:
    with served(tmp_path / "hub") as hub:
        made = Packing(hub)
        yield made
        made.caller.close()


def test_versions_become_small_and_come_back_whole(packing: Packing) -> None:
    versions = [weights(number) for number in range(8)]
    oids = [packing.caller.upload(data) for data in versions]
    assert packing.pack_all() == len(versions)
    assert not any(packing.loose(oid) for oid in oids)
    sizes = sorted(path.stat().st_size for path in packing.packs())
    assert sizes[-1] < len(versions[0])
    assert max(sizes[:-1]) < 0.45 * len(versions[0])
    for oid, data in zip(oids, versions, strict=True):
        assert packing.caller.download(oid, len(data)) == data
    assert packing.pack_all() == 0


def test_figures_count_a_pack_once_and_for_each_repository(packing: Packing) -> None:
    other = Caller(packing.hub.url, packing.hub.token(), "other/model")
    versions = [weights(0), weights(1)]
    for data in versions:
        packing.caller.upload(data)
    other.upload(versions[0])
    packing.pack_all()
    small = b"s" * 1000
    packing.caller.upload(small)
    figures = LocalAdministration(packing.hub.services).stats()
    mine, others = sorted(figures["by_repository"], key=lambda one: -one["objects"])
    sizes = [path.stat().st_size for path in packing.packs()]
    assert len(sizes) == 2
    assert figures["objects"] == mine["objects"] == 3
    assert figures["stored_bytes"] == mine["stored_bytes"] == sum(sizes) + len(small)
    assert mine["logical_bytes"] == len(versions[0]) + len(versions[1]) + len(small)
    assert figures["logical_bytes"] == mine["logical_bytes"] + len(versions[0])
    # The first version's pack, which stands for more than the other's delta.
    assert others["stored_bytes"] == others["shared_bytes"] == mine["shared_bytes"] == max(sizes)
    other.close()


def test_a_range_of_a_packed_object_is_that_range(packing: Packing) -> None:
    data = weights(1)
    packing.caller.upload(weights(0))
    oid = packing.caller.upload(data)
    packing.pack_all()
    href = packing.caller.one("download", oid, len(data))["actions"]["download"]["href"]
    for start, end in ((0, 10), (7, 300_000), (len(data) - 5, len(data)), (1 << 20, (1 << 20) + 1)):
        answer = packing.caller.send("GET", href, Range=f"bytes={start}-{end - 1}")
        assert (answer.status, answer.body) == (206, data[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(data)}"
    assert packing.caller.send("HEAD", href).headers["content-length"] == str(len(data))


def test_an_object_is_packed_against_its_own_repository_alone(packing: Packing) -> None:
    """Deltas against what another team owns would tell, by their size, what that team has."""
    other = Caller(packing.hub.url, packing.hub.token("eve"), "other/model")
    packing.caller.upload(weights(0))
    packing.pack_all()
    oid = other.upload(weights(5))
    packing.pack_all()
    recipe = packing.hub.services.packs.recipe(Oid(oid))
    assert recipe is not None
    found = packing.hub.services.packs.segments(segment.id for segment in recipe.segments)
    assert {place.depth for place in found.values()} == {0}
    other.close()


def test_what_gains_nothing_stays_loose_and_is_tried_once(packing: Packing) -> None:
    oid = packing.caller.upload(random.Random(1).randbytes(1 << 20))
    small = packing.caller.upload(b"x" * 1000)
    assert packing.pack_all() == 0
    assert packing.loose(oid)
    assert packing.loose(small)
    assert packing.packs() == []
    assert packing.hub.services.packs.tables.loose(1, 1, 10) == [(small, 1000)]


def test_an_object_without_tensors_is_found_again_in_its_next_version(packing: Packing) -> None:
    first = random.Random(1).randbytes(3 << 20)
    second = first[: 1 << 20] + b"inserted" + first[1 << 20 :]
    packing.caller.upload(first + b"compressible " * 50_000)
    packing.pack_all()
    oid = packing.caller.upload(second)
    assert packing.pack_all() == 1
    assert min(path.stat().st_size for path in packing.packs()) < 1 << 20
    assert packing.caller.download(oid, len(second)) == second


def test_a_packed_object_is_there_already_for_who_may_read_it(packing: Packing) -> None:
    data = weights(0)
    oid = packing.caller.upload(data)
    packing.pack_all()
    assert "actions" not in packing.caller.one("upload", oid, len(data))
    packing.hub.services.packs.close()
    stranger = Caller(packing.hub.url, packing.hub.token("eve", bound="eve/model"), "eve/model")
    assert "actions" in stranger.one("upload", oid, len(data))
    stranger.close()


def test_a_pack_that_a_crash_left_is_removed(packing: Packing) -> None:
    oid = packing.caller.upload(weights(0))
    packing.pack_all()
    backend = packing.hub.services.store.backend
    backend.put(pack_key("ab" * 32), b"a pack that nobody recorded")
    assert packing.hub.services.packs.clean() == 1
    assert [path.name for path in packing.packs()] != []
    assert packing.caller.download(oid, len(weights(0))) == weights(0)


def test_a_loose_copy_that_a_crash_left_beside_its_pack_is_removed(packing: Packing) -> None:
    """Unless the pack does not give the object: then it is the only one."""
    good, bad = weights(0), random.Random(2).randbytes(50_000) * 3
    oids = [packing.caller.upload(data) for data in (good, bad)]
    paths = [Path(packing.hub.services.settings.objects_folder) / oid[:2] / oid[2:4] / oid for oid in oids]
    assert packing.pack_all() == 2
    for path, data in zip(paths, (good, bad), strict=True):
        path.write_bytes(data)
    pack = packing.hub.services.packs.tables.place(Oid(oids[1]))
    assert pack is not None
    (damaged,) = [path for path in packing.packs() if path.stem == pack.pack]
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-60_000] + bytes(60_000))
    assert packing.packer.drop_doubles() == 1
    assert [path.exists() for path in paths] == [False, True]
    assert len(packing.failures) == 1
    for oid, data in zip(oids, (good, bad), strict=True):
        assert packing.caller.download(oid, len(data)) == data


def test_damage_in_a_loose_object_is_told_and_the_object_is_kept(packing: Packing) -> None:
    oid = packing.caller.upload(weights(0))
    path = packing.hub.services.store.local_path(Oid(oid))
    assert path is not None
    data = bytearray(Path(path).read_bytes())
    data[5000] ^= 1
    Path(path).chmod(0o644)
    Path(path).write_bytes(data)
    assert packing.packer.pack_all() == 0
    assert [oid in str(error) for error in packing.failures] == [True]
    assert packing.loose(oid)
    assert packing.packs() == []


def test_a_lost_pack_is_sent_again(packing: Packing) -> None:
    data = weights(0)
    oid = packing.caller.upload(data)
    packing.pack_all()
    for path in packing.packs():
        path.unlink()
    assert packing.caller.batch("download", (oid, len(data))).json["objects"][0]["error"]["code"] == 410
    assert packing.caller.upload(data) == oid == sha256(data)
    assert packing.caller.download(oid, len(data)) == data
