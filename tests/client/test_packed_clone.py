"""A clone whose objects are packed behaves like any other: what reads objects finds them, what is damaged is told and mended."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from hundredweight.client.fsck import check_packs, quarantine
from hundredweight.client.merge_rules import driver_config
from hundredweight.client.pack import execute, plan_pack
from hundredweight.store.repack import check
from tests.clones import Clone, oid_of
from tests.people import Person
from tests.running_hub import RunningHub
from tests.store.clone_store import CloneStore
from tests.store.weights import arrays, fine_tuned, recipe_of, safetensors_of

NAME = "model.safetensors"


def versions(count: int, rows: int = 200) -> list[bytes]:
    now = arrays(3, rows)
    made = []
    for number in range(count):
        made.append(safetensors_of(now))
        now = fine_tuned(now, number, 1e-5)
    return made


class Packed:
    """A repository of three versions of a model, all packed; its remote is a folder beside it, with the objects loose."""

    def __init__(self, home: Path) -> None:
        self.person = Person("ada", home)
        self.person.run("git", "lfs", "install", "--skip-repo")
        self.folder = self.person.repository("work")
        self.versions = versions(3)
        self.person.run("cwt", "init", cwd=self.folder)
        for data in self.versions:
            self.person.commit(self.folder, {NAME: data})
        self.remote = home / "remote.git"
        self.person.git("init", "-q", "--bare", str(self.remote))
        self.person.git("remote", "add", "origin", f"file://{self.remote}", cwd=self.folder)
        self.person.git("push", "-q", "origin", "main", cwd=self.folder)
        self.run("cwt", "pack")

    def run(self, *command: str, cwd: Path | None = None, check: bool = True, **variables: str) -> str:
        return self.person.run(*command, cwd=cwd or self.folder, check=check, **variables).stdout

    @property
    def loose(self) -> list[str]:
        return [path.name for path in (self.folder / ".git/lfs/objects").rglob("*") if path.is_file()]

    @property
    def pack(self) -> Path:
        (found,) = (self.folder / ".git/lfs/packs").glob("*.pack")
        return found

    def assert_checks_out(self, folder: Path) -> None:
        """Every version, by its commit."""
        for age, data in enumerate(reversed(self.versions)):
            self.run("git", "checkout", "-q", f"main~{age}" if age else "main", cwd=folder)
            assert (folder / NAME).read_bytes() == data
        self.run("git", "checkout", "-q", "main", cwd=folder)
        assert self.run("git", "status", "--porcelain", cwd=folder) == ""


@pytest.fixture
def packed(tmp_path: Path) -> Packed:
    made = Packed(tmp_path / "ada")
    assert made.loose == []
    return made


def test_old_versions_and_work_trees_check_out(packed: Packed, tmp_path: Path) -> None:
    packed.assert_checks_out(packed.folder)
    packed.run("git", "worktree", "add", "-q", str(tmp_path / "tree"), "main~2")
    assert (tmp_path / "tree" / NAME).read_bytes() == packed.versions[0]
    (packed.folder / NAME).unlink()
    packed.run("git", "lfs", "checkout")
    assert (packed.folder / NAME).read_bytes() == packed.versions[2]
    assert packed.loose == []


def test_lists_show_packed_objects_as_present(packed: Packed) -> None:
    assert packed.run("git", "lfs", "ls-files", "-l") == f"{oid_of(packed.versions[2])} * {NAME}\n"
    assert len(packed.run("git", "lfs", "ls-files", "--all").splitlines()) == 3
    found = packed.run("git", "lfs", "status")
    assert "Objects to be committed:\n\n\nObjects not staged" in found
    assert packed.run("git", "lfs", "fetch", "--all").count("100%") == 0
    assert packed.run("git", "lfs", "fsck") == "Git LFS fsck OK\n"


def test_clones_of_it_get_its_objects(packed: Packed, tmp_path: Path) -> None:
    """It is a remote on this machine; nothing is loose in it."""
    clone = tmp_path / "clone"
    packed.run("git", "clone", "-q", f"file://{packed.folder}", str(clone))
    assert (clone / NAME).read_bytes() == packed.versions[2]
    packed.run("git", "lfs", "fetch", "--all", cwd=clone)
    packed.assert_checks_out(clone)
    assert packed.loose == []
    listed = packed.run("cwt", "inspect", f"file://{packed.folder}@main:{NAME}")
    assert "format        safetensors" in listed


def test_a_push_to_a_folder_reads_packs(packed: Packed, tmp_path: Path) -> None:
    other = tmp_path / "other.git"
    packed.run("git", "init", "-q", "--bare", str(other))
    packed.run("git", "push", "-q", f"file://{other}", "main")
    there = [path.name for path in (other / "lfs/objects").rglob("*") if path.is_file()]
    assert sorted(there) == sorted(oid_of(data) for data in packed.versions)


def test_a_push_of_whole_files_leaves_none(packed: Packed, hub: RunningHub) -> None:
    packed.person.login(hub.url, hub.new_token("ada"))
    name = hub.new_name()
    before = packed.loose
    packed.person.git("-c", "lfs.basicTransfersOnly=true", "push", "-q", hub.remote(name), "main", cwd=packed.folder)
    clone = packed.person.home / "theirs"
    packed.person.git("clone", "-q", hub.remote(name), str(clone))
    assert (clone / NAME).read_bytes() == packed.versions[-1]
    assert packed.loose == before
    assert packed.run("git", "lfs", "fsck") == "Git LFS fsck OK\n"


def test_a_clone_by_reference_takes_packed_objects(packed: Packed, tmp_path: Path) -> None:
    shutil.rmtree(packed.remote / "lfs")
    clone = tmp_path / "clone"
    packed.run("git", "clone", "-q", "--reference", str(packed.folder), f"file://{packed.remote}", str(clone))
    packed.assert_checks_out(clone)


def test_stock_git_lfs_finds_everything_after_unpacking(packed: Packed, stock_git_lfs: Path, tmp_path: Path) -> None:
    packed.run("cwt", "unpack", "--all")
    assert sorted(packed.loose) == sorted(oid_of(data) for data in packed.versions)
    assert list((packed.folder / ".git/lfs/packs").glob("*.pack")) == []
    shutil.rmtree(packed.remote / "lfs")
    stock = Person("ada", tmp_path / "ada", stock_git_lfs)
    assert stock.git("lfs", "fsck", "main~2..main", cwd=packed.folder) == "Git LFS fsck OK"
    assert stock.git("lfs", "ls-files", cwd=packed.folder) == f"{oid_of(packed.versions[2])[:10]} * {NAME}"
    for age, data in enumerate(reversed(packed.versions)):
        stock.git("checkout", "-q", f"main~{age}", cwd=packed.folder)
        assert (packed.folder / NAME).read_bytes() == data


def test_a_damaged_pack_is_named_taken_out_and_fetched_again(packed: Packed) -> None:
    pack = packed.pack
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    told = packed.person.run("git", "lfs", "fsck", cwd=packed.folder, check=False)
    assert told.returncode == 1
    assert f"packs: corruptPack: pack {pack.name[:12]} is corrupt" in told.stdout
    assert not pack.exists()
    assert check(Clone(packed.folder).workspace().store.packs).faults == [], "what can be read stayed"
    packed.run("git", "lfs", "fetch", "--all")
    assert packed.run("git", "lfs", "fsck", "main~2..main") == "Git LFS fsck OK\n"
    packed.run("git", "checkout", "-q", "-f", "main")
    packed.assert_checks_out(packed.folder)


def test_a_truncated_pack_is_set_aside(packed: Packed) -> None:
    pack = packed.pack
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.truncate(pack.stat().st_size - 5)
    told = packed.person.run("git", "lfs", "fsck", cwd=packed.folder, check=False)
    assert f"pack {pack.name[:12]} is corrupt" in told.stdout
    assert not pack.exists()
    assert (packed.folder / ".git/lfs/bad" / pack.name).exists()
    packed.run("git", "lfs", "fetch", "--all")
    packed.assert_checks_out(packed.folder)


def test_merging_reads_packed_objects(tmp_path: Path) -> None:
    person = Person("ada", tmp_path / "ada")
    folder = person.repository("work")
    person.run("cwt", "init", cwd=folder)
    for key, value in driver_config():
        person.git("config", key, value, cwd=folder)
    base = {name: np.full((200, 128), number, np.float32) for number, name in enumerate(("one", "two", "three"))}
    person.commit(folder, {NAME: bytes(save(base))})
    person.git("branch", "side", cwd=folder)
    person.commit(folder, {NAME: bytes(save({**base, "one": base["one"] + 5}))})
    person.git("checkout", "-q", "side", cwd=folder)
    person.commit(folder, {NAME: bytes(save({**base, "two": base["two"] + 7}))})
    person.run("cwt", "pack", cwd=folder)
    assert [path for path in (folder / ".git/lfs/objects").rglob("*") if path.is_file()] == []
    person.git("merge", "-q", "main", "-m", "merge", cwd=folder)
    merged = load((folder / NAME).read_bytes())
    assert [float(merged[name][0, 0]) for name in ("one", "two", "three")] == [5, 8, 2]


def test_prune_packs_what_stays(packed: Packed) -> None:
    extra = versions(4)[3]
    packed.person.commit(packed.folder, {NAME: extra})
    assert len(packed.loose) == 1
    assert packed.run("git", "-c", "hundredweight.packs=false", "lfs", "prune").count("packed") == 0
    assert len(packed.loose) == 1
    said = packed.run("git", "lfs", "prune", "--force")
    assert "3 objects" not in said.splitlines()[-1]
    assert said.splitlines()[-1].startswith("packed 1 object: ")
    assert packed.loose == []
    folder = Clone(packed.folder).workspace().store.packs
    assert {oid for oid, _ in folder.ids()} == {oid_of(extra)}, "what is pushed is gone"
    assert check(folder).faults == []
    assert packed.run("git", "lfs", "prune").splitlines()[-1] == "nothing to pack"


def test_a_recipe_alone_does_not_take_the_loose_copy_away(tmp_path: Path) -> None:
    clone = CloneStore(tmp_path)
    data = versions(1)[0]
    oid = clone.add(data)
    with clone.store.packs.lock(), clone.store.packs.writer() as target:
        target.stream.recipe(oid, len(data), recipe_of(data).encode())
        target.commit()
    assert clone.store.is_packed(oid)
    assert not clone.store.drop_loose(oid), "its blocks are nowhere"
    clone.check()


def test_the_loose_copy_goes_when_all_blocks_are_packed(tmp_path: Path) -> None:
    clone = CloneStore(tmp_path)
    oid = clone.add(versions(1)[0])
    clone.pack(oid)
    clone.store.file(oid)
    with clone.store.packs.lock():
        assert not clone.fresh().drop_loose(oid), "somebody may be taking it out"
    assert clone.loose() == {oid}
    assert clone.store.drop_loose(oid)
    assert clone.loose() == set()
    clone.check()


def test_a_push_never_packs_half_an_object(hub: RunningHub, tmp_path: Path) -> None:
    """What the server has need not be sent, yet a pack of the clone without it would be no use."""
    ada = hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("work")
    ada.run("cwt", "init", cwd=folder)
    ada.git("remote", "add", "origin", hub.remote(hub.new_name()), cwd=folder)
    first = arrays(1)
    second = {**first, "embedding": arrays(2)["embedding"]}
    ada.commit(folder, {NAME: safetensors_of(first)})
    ada.git("push", "-q", "origin", "main", cwd=folder)
    ada.run("cwt", "unpack", cwd=folder)
    ada.commit(folder, {NAME: safetensors_of(second)})
    ada.git("push", "-q", "origin", "main", cwd=folder)
    assert ada.git("lfs", "fsck", "main~1..main", cwd=folder) == "Git LFS fsck OK"
    assert check(Clone(folder).workspace().store.packs).faults == []
    for commit, data in (("main~1", first), ("main", second)):
        ada.git("checkout", "-q", commit, cwd=folder)
        assert (folder / NAME).read_bytes() == safetensors_of(data)


def test_a_good_loose_copy_stays_when_its_pack_is_damaged(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    data = versions(1)[0]
    clone.commit_file(NAME, data)
    space = clone.workspace()
    execute(space, plan_pack(space), lambda _: None)
    clone.store(data)
    (name,) = space.store.packs.names()
    pack = Path(space.store.packs.path(name))
    pack.chmod(0o644)
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    findings = list(check_packs(space))
    assert {finding.kind for finding in findings} == {"corruptPack"}
    quarantine(space.store, findings)
    assert clone.has(data)
    assert list(clone.workspace().store.packs.ids()) == []
