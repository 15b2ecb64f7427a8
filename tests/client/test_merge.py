"""The merge driver, run by git itself: merge, rebase, cherry-pick, checkout --merge; and what it does for other files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from hundredweight.client.merge_rules import driver_config
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git
from hundredweight.store.packing import LooseItem, pack_loose
from tests.clones import pointer_of
from tests.people import Person

ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.bin filter=lfs diff=lfs merge=lfs -text\n"
NAME = "m.safetensors"


def weights(**values: float) -> bytes:
    """Three layers, `layer.N` full of N unless said otherwise (lN=value)."""
    arrays: dict[str, Any] = {f"layer.{n}": np.full((8, 8), values.get(f"l{n}", n), np.float32) for n in range(3)}
    return save(arrays, {"format": "pt"})


class Story:
    """A repository with the driver, and `m.safetensors` on branch main."""

    def __init__(self, home: Path) -> None:
        self.person = Person("test", home)
        self.folder = self.person.repository("repo")
        self.git("lfs", "install", "--local")
        for key, value in driver_config():
            self.git("config", key, value)
        self.commit("main", {".gitattributes": ATTRIBUTES, NAME: weights(), "data.bin": b"data"})

    def git(self, *args: str, check: bool = True, **variables: str) -> str:
        return self.person.git(*args, cwd=self.folder, check=check, **variables)

    def commit(self, branch: str, files: dict[str, bytes]) -> None:
        """On `branch`, which begins at main."""
        if branch not in self.git("branch", "--format=%(refname:short)").splitlines() and branch != "main":
            self.git("branch", branch, "main")
        if branch != "main":
            self.git("checkout", "-q", branch)
        self.person.commit(self.folder, files, branch)

    @property
    def content(self) -> dict[str, float]:
        """The first number of each tensor in the work tree."""
        found = load((self.folder / NAME).read_bytes())
        return {name: float(array[0, 0]) for name, array in sorted(found.items())}

    @property
    def status(self) -> str:
        return self.git("status", "--porcelain")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "home")


def test_changes_of_different_tensors_merge(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)})
    story.commit("b", {NAME: weights(l2=20)})
    story.git("merge", "-q", "a", "-m", "both")
    assert (story.folder / NAME).read_bytes() == weights(l1=10, l2=20)
    assert story.status == ""
    assert story.git("show", f"HEAD:{NAME}").startswith("version https://git-lfs")
    story.git("lfs", "fsck")


def test_a_tensor_that_both_changed_is_named_and_left_unmerged(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10, l0=5)})
    story.commit("b", {NAME: weights(l1=12)})
    said = story.git("merge", "a", check=False)
    assert f"cannot merge '{NAME}': 1 conflict\n  layer.1: changed on both sides\n" in said
    assert f"CONFLICT (content): Merge conflict in {NAME}" in said
    assert story.status == f"UU {NAME}"
    assert (story.folder / NAME).read_bytes() == weights(l1=12)
    assert "both modified:" in story.git("status")
    # As the hint says: the same merge again, with a strategy.
    story.git("-c", "hundredweight.merge.strategy=average", "checkout", "--merge", "--", NAME)
    assert story.content == {"layer.0": 5, "layer.1": 11, "layer.2": 2}
    story.git("add", NAME)
    story.git("commit", "-q", "--no-edit")
    assert (story.status, story.git("rev-list", "--count", "--merges", "HEAD")) == ("", "1")


@pytest.mark.parametrize(("strategy", "value"), [("ours", 12), ("theirs", 10), ("average", 11), ("sum", 21)])
def test_strategies(story: Story, strategy: str, value: float) -> None:
    story.commit("a", {NAME: weights(l1=10, l0=5)})
    story.commit("b", {NAME: weights(l1=12)})
    story.git("config", "hundredweight.merge.strategy", strategy)
    story.git("merge", "-q", "a", "-m", strategy)
    assert story.content == {"layer.0": 5, "layer.1": value, "layer.2": 2}
    assert story.status == ""


def test_rules_and_the_variable(story: Story) -> None:
    story.commit("a", {NAME: weights(l0=2, l1=10, l2=4)})
    story.commit("b", {NAME: weights(l0=4, l1=12, l2=8)})
    story.git("config", "--add", "hundredweight.merge.rule", "layer.*=ours")
    story.git("config", "--add", "hundredweight.merge.rule", "*.1=conflict")
    assert "\n  layer.1: changed on both sides\nhint" in story.git("merge", "a", check=False)
    story.git("merge", "--abort")
    story.git("config", "--replace-all", "hundredweight.merge.rule", "*.1=theirs")
    story.git("merge", "-q", "a", "-m", "x", CWT_MERGE_STRATEGY="average")
    assert story.content == {"layer.0": 3, "layer.1": 10, "layer.2": 6}
    said = story.person.run(
        "cwt", "merge-driver", "a", "b", "c", "d", cwd=story.folder, check=False, CWT_MERGE_STRATEGY="x"
    )
    assert (said.returncode, "'x' (CWT_MERGE_STRATEGY) is no merge strategy" in said.stderr) == (2, True)


def test_rebase_and_cherry_pick(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)})
    story.commit("a", {NAME: weights(l1=10, l0=7)})
    story.commit("b", {NAME: weights(l2=20)})
    story.git("checkout", "-q", "-b", "picked", "b")
    story.git("cherry-pick", "a")
    assert story.content == {"layer.0": 7, "layer.1": 1, "layer.2": 20}
    story.git("checkout", "-q", "a")
    story.git("rebase", "-q", "b")
    assert story.content == {"layer.0": 7, "layer.1": 10, "layer.2": 20}
    assert story.git("log", "--format=%s", "-n3").splitlines() == ["a", "a", "b"]
    story.git("lfs", "fsck")


def test_crossed_histories_have_a_base_that_is_merged_itself(story: Story) -> None:
    """Two common ancestors: git merges them first, with this driver, and takes the result for the base."""
    story.commit("a", {NAME: weights(l1=10)})
    story.commit("b", {NAME: weights(l2=20)})
    tip = story.git("rev-parse", "b")
    story.git("merge", "-q", "a", "-m", "one")
    story.commit("b", {NAME: weights(l1=11, l2=20)})
    story.git("checkout", "-q", "a")
    story.git("merge", "-q", tip, "-m", "two")
    story.commit("a", {NAME: weights(l1=10, l2=21)})
    story.git("merge", "-q", "b", "-m", "crossed")
    assert story.content == {"layer.0": 0, "layer.1": 11, "layer.2": 21}


def test_files_that_are_no_weights_are_as_binary_ones(story: Story) -> None:
    story.commit("a", {"data.bin": b"theirs", "other.bin": b"added"})
    story.commit("b", {"data.bin": b"ours"})
    said = story.git("merge", "a", check=False)
    assert "cannot merge 'data.bin': it is no weight file of a known format; ours is kept" in said
    assert story.status == "UU data.bin\nA  other.bin"
    assert (story.folder / "data.bin").read_bytes() == b"ours"
    story.git("checkout", "--theirs", "data.bin")
    assert (story.folder / "data.bin").read_bytes() == b"theirs"


def test_odd_paths_and_stashes_from_below_the_top(story: Story) -> None:
    path = 'sub dir/-it\'s "ü" $m.safetensors'
    story.commit("main", {path: weights()})
    story.commit("a", {path: weights(l1=10)})
    story.commit("b", {path: weights(l2=20, l1=5)})
    said = story.git("-C", "sub dir", "merge", "a", check=False)
    (hint,) = [line for line in said.splitlines() if "choose with: " in line]
    command = hint.split("choose with: ")[1]
    story.person.run("sh", "-c", f"cd 'sub dir' && {command.replace('average', 'theirs')}", cwd=story.folder)
    assert (story.folder / path).read_bytes() == weights(l2=20, l1=10)
    story.git("add", ".")
    story.git("commit", "-q", "--no-edit")
    (story.folder / path).write_bytes(weights(l2=20, l1=10, l0=3))
    story.git("stash", "-q")
    story.commit("b", {path: weights(l2=7, l1=10)})
    story.git("stash", "pop", "-q")
    assert (story.folder / path).read_bytes() == weights(l2=7, l1=10, l0=3)


def test_a_damaged_side_leaves_ours(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)[:-1]})
    story.commit("b", {NAME: weights(l2=20)})
    said = story.git("merge", "a", check=False)
    assert f"error: '{NAME} (theirs)': " in said
    assert story.status == f"UU {NAME}"
    assert (story.folder / NAME).read_bytes() == weights(l2=20)


def test_added_on_both_sides(story: Story) -> None:
    story.commit("a", {"new.safetensors": save({"a": np.ones(2, np.float32), "c": np.ones(1, np.float32)})})
    story.commit("b", {"new.safetensors": save({"b": np.ones(3, np.float32), "c": np.ones(1, np.float32)})})
    story.git("merge", "-q", "a", "-m", "x")
    assert sorted(load((story.folder / "new.safetensors").read_bytes())) == ["a", "b", "c"]


def test_weights_that_missed_lfs_become_an_object(story: Story) -> None:
    (story.folder / "raw").write_bytes(weights(l1=10))
    blob = story.git("hash-object", "-w", "--no-filters", "raw")
    (story.folder / "raw").unlink()
    story.git("checkout", "-q", "-b", "a")
    story.git("update-index", "--cacheinfo", f"100644,{blob},{NAME}")
    story.git("commit", "-q", "-m", "raw")
    story.git("checkout", "-q", "-f", "main")
    story.commit("b", {NAME: weights(l2=20)})
    story.git("merge", "-q", "a", "-m", "x")
    assert (story.folder / NAME).read_bytes() == weights(l1=10, l2=20)
    assert story.git("show", f"HEAD:{NAME}").startswith("version https://git-lfs")


def test_missing_objects_are_fetched(story: Story) -> None:
    server = story.person.home / "server.git"
    story.git("init", "-q", "--bare", str(server))
    story.git("remote", "add", "origin", f"file://{server}")
    story.commit("a", {NAME: weights(l1=10)})
    story.commit("b", {NAME: weights(l2=20)})
    story.git("push", "-q", "origin", "main", "a", "b")
    objects = [p for p in (story.folder / ".git" / "lfs" / "objects").rglob("*") if p.is_file()]
    for path in objects:
        path.unlink()
    said = story.git("merge", "a", "-m", "x", check=False)
    # Ours may have come back before: git looks at a file again whose time is that of its index.
    assert said.count("fetching object") in (2, 3)
    assert (story.folder / NAME).read_bytes() == weights(l1=10, l2=20)


def test_packed_objects_merge(story: Story) -> None:
    large = {"large": np.arange(40_000, dtype=np.float32)}

    def version(**values: float) -> bytes:
        return save({**load(weights(**values)), **large})

    story.commit("main", {NAME: version()})
    story.commit("a", {NAME: version(l1=10)})
    story.commit("b", {NAME: version(l2=20)})
    with closing(open_workspace(Git(str(story.folder)), story.person.env).store) as store:
        items = [LooseItem(oid) for oid, size in store.loose_ids() if size > 100_000]
        pack_loose(store, items)
        assert len(items) == 3
        assert all(store.is_packed(item.oid) for item in items)
        assert max(size for _, size in store.loose_ids()) < 100_000
    story.git("merge", "-q", "a", "-m", "x")
    assert (story.folder / NAME).read_bytes() == version(l1=10, l2=20)


def test_a_damaged_object_is_not_merged_into_a_new_one(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)})
    oid = pointer_of(weights(l1=10)).oid
    story.commit("b", {NAME: weights(l2=20)})
    stored = story.folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    stored.write_bytes(weights(l1=11))
    said = story.git("merge", "a", check=False)
    assert f"object {oid[:12]} of '{NAME}' is damaged in the local store; it was moved to" in said
    assert "is not here and could not be fetched" in said
    assert story.status == f"UU {NAME}"
    assert (story.folder / ".git" / "lfs" / "bad" / oid).read_bytes() == weights(l1=11)
    stored.write_bytes(weights(l1=10))
    story.git("checkout", "--merge", "--", NAME)
    assert (story.folder / NAME).read_bytes() == weights(l1=10, l2=20)


def test_an_object_that_cannot_be_had_is_a_conflict(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)})
    oid = story.git("show", f"a:{NAME}").split("sha256:")[1].split()[0]
    story.commit("b", {NAME: weights(l2=20)})
    (story.folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).unlink()
    said = story.git("merge", "a", check=False)
    assert f"its object {oid[:12]} is not here and could not be fetched" in said
    assert "hint: run 'git lfs fetch" in said
    assert story.status == f"UU {NAME}"
    assert (story.folder / NAME).read_bytes() == weights(l2=20)


def test_merge_tree_needs_no_work_tree(story: Story) -> None:
    story.commit("a", {NAME: weights(l1=10)})
    story.commit("b", {NAME: weights(l2=20)})
    tree = story.git("merge-tree", "--write-tree", "a", "b").splitlines()[0]
    assert str(pointer_of(weights(l1=10, l2=20)).oid) in story.git("show", f"{tree}:{NAME}")


def test_files_directly(tmp_path: Path) -> None:
    person = Person("test", tmp_path / "home")
    for name, data in (("base", weights()), ("ours", weights(l1=10)), ("theirs", weights(l1=12, l0=5))):
        (person.home / name).write_bytes(data)
    command = ("cwt", "merge-weights", "base", "ours", "theirs", "-o", "out")
    refused = person.run(*command, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "cannot merge 'out': 1 conflict\n  layer.1: changed on both sides\n"
        "hint: nothing was written; give --strategy, or --rule for some of the tensors\n"
    )
    assert not (person.home / "out").exists()
    done = person.run(*command, "--strategy", "theirs", "--rule", "layer.1=average")
    assert done.stdout == "wrote 'out': 2 tensors other than in 'ours', 1 of them computed\n"
    assert (person.home / "out").read_bytes() == weights(l1=11, l0=5)
    onto = person.run("cwt", "merge-weights", "base", "ours", "theirs", "-o", "ours", "--strategy", "ours")
    assert onto.stdout == "wrote 'ours': 1 tensor other than in 'ours'\n"
    assert (person.home / "ours").read_bytes() == weights(l1=10, l0=5)
