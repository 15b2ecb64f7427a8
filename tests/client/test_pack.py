"""Packing a clone by its history, unpacking it again, and what each version costs: nothing is lost."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.client import du, unpack
from hundredweight.client.nearby import NearbyObjects
from hundredweight.client.pack import execute, plan_pack
from hundredweight.client.versions import NoVersions, list_versions
from hundredweight.client.workspace import Workspace
from hundredweight.store import repack
from hundredweight.store.packfolder import PacksBusy
from tests.clones import Clone, oid_of
from tests.people import Person
from tests.store.weights import arrays, fine_tuned, safetensors_of


def versions(count: int, seed: int = 0, rows: int = 300) -> list[bytes]:
    now = arrays(seed, rows)
    made = []
    for number in range(count):
        made.append(safetensors_of(now))
        now = fine_tuned(now, 1000 * seed + number, 1e-5)
    return made


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def ignore(*_: object) -> None:
    """Progress that nobody watches."""


def pack(clone: Clone, *paths: str, every: bool = False, below: str = "") -> Workspace:
    space = clone.workspace(below)
    execute(space, plan_pack(space, paths, every=every), ignore)
    return space


def loose(space: Workspace) -> set[Oid]:
    return {oid for oid, _ in space.store.loose_ids()}


def content(space: Workspace, data: bytes) -> bytes:
    return b"".join(space.store.open_stream(oid_of(data)))


def test_history_makes_deltas_of_versions(clone: Clone) -> None:
    made = versions(4)
    for data in made:
        clone.commit_file("model.safetensors", data)
    clone.commit_file("small.bin", b"small")
    space = clone.workspace()
    plan = plan_pack(space)
    assert [item.oid for item in plan.items] == [oid_of(data) for data in made], "the oldest first"
    assert plan.items[2].predecessors == [oid_of(made[1]), oid_of(made[0])], "the nearest first"
    assert plan.size == sum(map(len, made))
    assert len(loose(space)) == 5, "a plan changes nothing"
    outcome = execute(space, plan, ignore)
    assert (outcome.packed, outcome.raw, outcome.left, outcome.damaged) == (4, plan.size, [], [])
    assert outcome.stored < 0.6 * outcome.raw
    assert loose(space) == {oid_of(b"small")}
    assert all(content(space, data) == data for data in made)
    assert plan_pack(space).items == []


def test_other_paths_serve_too(clone: Clone) -> None:
    first, second, third = versions(3)
    clone.commit_file("run-1/model.safetensors", first)
    clone.commit_file("run-2/model.safetensors", second)
    clone.commit_file("renamed.safetensors", third)
    plan = plan_pack(clone.workspace())
    assert [list(item.predecessors) for item in plan.items] == [
        [],
        [oid_of(first)],
        [oid_of(second), oid_of(first)],
    ]


def test_all_branches_merges_the_stash_and_the_index_count(clone: Clone) -> None:
    made = versions(5, rows=100)
    clone.commit_file("a.safetensors", made[0])
    clone.git.output("checkout", "-q", "-b", "side")
    clone.commit_file("b.safetensors", made[1])
    clone.git.output("checkout", "-q", "main")
    clone.commit_file("c", b"c")
    clone.git.output("merge", "-q", "--no-commit", "side")
    clone.put("b.safetensors", made[2])
    clone.commit("evil merge")
    clone.put("b.safetensors", made[3])
    clone.git.output("stash")
    clone.put("b.safetensors", made[4])
    clone.git.output("add", "-A")
    found = {version.oid: version for version in list_versions(clone.workspace())}
    assert {oid_of(data) for data in made} < found.keys()
    assert found[oid_of(made[4])].commit == ""
    space = pack(clone)
    assert loose(space) == {oid_of(b"c")}


def test_paths_and_all_choose(clone: Clone) -> None:
    one, two, orphan = versions(3)
    clone.commit_file("sub/one.safetensors", one)
    clone.commit_file("two.safetensors", two)
    clone.store(orphan)
    space = pack(clone, "one.safetensors", below="sub")
    assert loose(space) == {oid_of(two), oid_of(orphan)}
    with pytest.raises(NoVersions):
        plan_pack(clone.workspace("sub"), ["two.safetensors"])
    space = pack(clone)
    assert loose(space) == {oid_of(orphan)}
    space = pack(clone, every=True)
    assert loose(space) == set()
    usage = du.measure(space)
    assert usage.costs[-1].version.oid == oid_of(orphan)
    assert usage.costs[-1].added < 0.5 * len(orphan), "the newest of a like size served"


def test_an_older_version_that_comes_later_uses_the_newer_ones(clone: Clone) -> None:
    old, new = versions(2)
    clone.commit_file("model.safetensors", old)
    (clone.folder / ".git/lfs/objects" / oid_of(old)[:2] / oid_of(old)[2:4] / oid_of(old)).unlink()
    clone.commit_file("model.safetensors", new)
    pack(clone)
    clone.store(old)
    space = clone.workspace()
    outcome = execute(space, plan_pack(space), ignore)
    assert outcome.stored < 0.5 * outcome.raw


def test_what_gains_nothing_stays_and_what_is_damaged_is_told(clone: Clone) -> None:
    noise = random.Random(5).randbytes(100_000)
    good, bad = versions(2)
    clone.commit_file("noise.bin", noise)
    clone.commit_file("model.safetensors", good)
    clone.commit_file("bad.safetensors", bad)
    clone.damage(bad)
    space = clone.workspace()
    outcome = execute(space, plan_pack(space), ignore)
    assert outcome.left == [oid_of(noise)]
    assert [each.oid for each in outcome.damaged] == [oid_of(bad)]
    assert loose(space) == {oid_of(noise), oid_of(bad)}


def test_many_small_packs_are_made_one(clone: Clone) -> None:
    made = versions(repack.MANY + 2, rows=100)
    for number, data in enumerate(made):
        clone.commit_file("model.safetensors", data)
        space = clone.workspace()
        outcome = execute(space, plan_pack(space), ignore)
        assert outcome.merged == (repack.MANY + 1 if number == repack.MANY else 0)
        space.store.close()
    space = clone.workspace()
    assert len(space.store.packs.names()) == 2
    assert all(content(space, data) == data for data in made)
    assert repack.check(space.store.packs).faults == []


def test_unpacking_gives_the_files_back_and_the_space(clone: Clone) -> None:
    made = versions(3)
    for data in made:
        clone.commit_file("model.safetensors", data)
    other = versions(1, seed=7)[0]
    clone.commit_file("other.safetensors", other)
    space = pack(clone)
    outcome = unpack.execute(space, unpack.plan_unpack(space, ["model.safetensors"]), ignore)
    assert (outcome.objects, outcome.size, outcome.failed) == (3, sum(map(len, made)), [])
    assert outcome.freed > len(made[0]) / 2
    assert all(clone.has(data) for data in made)
    assert not clone.has(other)
    assert {oid for oid, _ in space.store.packs.ids()} == {oid_of(other)}
    outcome = unpack.execute(space, unpack.plan_unpack(space, every=True), ignore)
    assert outcome.objects == 1
    assert space.store.packs.names() == []
    assert clone.has(other)
    assert unpack.execute(space, unpack.plan_unpack(space), ignore).objects == 0


def test_unpacking_leaves_what_is_damaged_in_the_packs(clone: Clone) -> None:
    data = versions(1)[0]
    clone.commit_file("model.safetensors", data)
    space = pack(clone)
    (name,) = space.store.packs.names()
    damage_middle(Path(space.store.packs.path(name)))
    outcome = unpack.execute(space, unpack.plan_unpack(space), ignore)
    assert outcome.objects == 0
    assert [oid for oid, _ in outcome.failed] == [oid_of(data)]
    assert not clone.has(data)


def damage_middle(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 255]))


def test_one_process_at_a_time(clone: Clone) -> None:
    clone.commit_file("model.safetensors", versions(1)[0])
    space = clone.workspace()
    with space.store.packs.lock():
        other = clone.workspace()
        with pytest.raises(PacksBusy):
            execute(other, plan_pack(other), ignore)
    pack(clone)


def test_costs_make_up_the_whole(clone: Clone) -> None:
    made = versions(3)
    for number, data in enumerate(made):
        clone.commit_file("model.safetensors", data, days_ago=3 - number)
    clone.commit_file("copy.safetensors", made[0])
    clone.commit_file("small.bin", b"small")
    space = clone.workspace()
    before = du.measure(space)
    assert {cost.kept for cost in before.costs} == {du.LOOSE}
    assert (before.raw, before.stored, before.other) == (sum(map(len, made)) + 5, before.raw, 0)
    pack(clone)
    space = clone.workspace()
    usage = du.measure(space)
    assert [(cost.version.path, cost.kept) for cost in usage.costs] == [
        *[("model.safetensors", du.PACKED)] * 3,
        ("copy.safetensors", du.PACKED),
        ("small.bin", du.LOOSE),
    ]
    first, second, third, copy, _ = usage.costs
    assert first.shared == 0
    assert second.added < first.added
    assert third.shared > third.added
    assert (copy.added, copy.shared) == (0, first.added)
    assert usage.objects == 4
    assert sum(cost.added for cost in usage.costs) + usage.other == usage.stored
    assert usage.stored == usage.loose + usage.pack_bytes < 0.7 * usage.raw
    assert 0 < usage.other < 20_000
    some = du.measure(space, ["copy.safetensors"])
    assert [cost.version.path for cost in some.costs] == ["copy.safetensors"]
    assert (some.raw, some.stored, some.other) == (len(made[0]), 0, 0)
    assert du.measure(space, ["model.safetensors"]).raw == sum(map(len, made))


def test_versions_that_are_not_here_are_counted(clone: Clone) -> None:
    clone.commit_file("a", b"here")
    clone.commit_file("a", b"gone")
    (clone.folder / ".git/lfs/objects" / oid_of(b"gone")[:2] / oid_of(b"gone")[2:4] / oid_of(b"gone")).unlink()
    usage = du.measure(clone.workspace())
    assert (len(usage.costs), usage.missing, usage.raw) == (1, 1, 4)


def test_a_partial_clone_fetches_nothing(clone: Clone, tmp_path: Path) -> None:
    """Git would fetch each pointer that is merely looked at, one by one, and weights that missed LFS too."""
    made = versions(3)
    for data in made:
        clone.commit_file("model.safetensors", data)
    clone.git.output("config", "uploadpack.allowFilter", "true")
    clone.git.at("").output("clone", "-q", "--filter=blob:none", clone.folder.as_uri(), str(tmp_path / "part"))
    part = Clone(tmp_path / "part")

    def missing() -> int:
        listed = part.git.text("rev-list", "--objects", "--all", "--missing=print")
        return sum(line.startswith("?") for line in listed.splitlines())

    assert missing() == 2, "but for the newest, which is checked out"
    for data in made:
        part.store(data)
    space = part.workspace()
    assert [version.oid for version in list_versions(space)] == [oid_of(made[-1])]
    plan = plan_pack(space, every=True)
    assert {item.oid for item in plan.items} == {oid_of(data) for data in made}
    execute(space, plan, ignore)
    known = NearbyObjects(space).own(oid_of(made[-1]), len(made[-1]))
    assert known is not None
    near = NearbyObjects(space).near(known.recipe, "model.safetensors")
    assert {each.recipe.oid for each in near} == {oid_of(data) for data in made[:-1]}, "what is packed is known anyway"
    assert du.measure(space).objects == 3
    assert missing() == 2


def test_the_commands(tmp_path: Path) -> None:
    """`cwt pack`, `cwt du`, `cwt unpack`: what they print."""
    person = Person("ada", tmp_path / "ada")
    folder = person.repository("work")
    person.run("cwt", "init", cwd=folder)
    assert person.run("cwt", "pack", cwd=folder).stdout == "nothing to pack\n"
    assert (
        person.run("cwt", "du", cwd=folder).stdout
        == "0 objects: 0 B raw, 0 B stored\nthis clone: 0 B loose, 0 B in 0 packs\n"
    )
    for data in versions(2):
        person.commit(folder, {"model.safetensors": data})
    assert person.run("cwt", "pack", "-n", cwd=folder).stdout == "2 objects would be packed (948 KB)\n"
    done = person.run("cwt", "pack", "-v", cwd=folder)
    assert done.stdout.startswith("packed 2 objects: 948 KB became ")
    assert done.stderr.count(" model.safetensors (474 KB): ") == 2
    assert done.stderr.endswith("Packing objects: 100% (2/2), done.\n")
    table = person.run("cwt", "du", cwd=folder).stdout.splitlines()
    assert table[0].split() == ["PATH", "COMMIT", "DATE", "SIZE", "ADDED", "SHARED", "KEPT"]
    assert [line.split()[-1] for line in table[1:3]] == ["packed", "packed"]
    assert table[3:] == ["", *table[4:]]
    found = json.loads(person.run("cwt", "du", "--json", "model.safetensors", cwd=folder).stdout)
    assert [version["kept"] for version in found["versions"]] == ["packed", "packed"]
    assert found["clone"]["packs"] == 1
    assert found["percent"] < 80
    assert person.run("cwt", "unpack", "-n", cwd=folder).stdout == "2 objects would be unpacked (948 KB)\n"
    assert person.run("cwt", "unpack", cwd=folder).stdout.startswith("unpacked 2 objects: 948 KB in loose files, ")
    assert person.run("cwt", "unpack", cwd=folder).stdout == "nothing to unpack\n"
    done = person.run("cwt", "pack", "nothing.bin", cwd=folder, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no version of 'nothing.bin' is an LFS file\nhint: ")
