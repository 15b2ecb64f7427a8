"""Repositories stay quick however many pushes they get."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.hub.receive import upkeep
from tests.people import Person
from tests.running_hub import RunningHub


def grow(git: Git, packs: int) -> str:
    """One pack a commit, as many pushes leave them; the last commit."""
    for number in range(packs):
        commit = f"commit refs/heads/pile\ncommitter a <a@b> {number} +0000\ndata 1\nx\n"
        parent = "from refs/heads/pile^0\n" if number else ""
        data = f"{number}\n"
        stream = f"{commit}{parent}M 100644 inline f\ndata {len(data)}\n{data}\n"
        git.output("-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", stdin=stream.encode())
    return git.text("rev-parse", "refs/heads/pile")


def packs(folder: Path) -> int:
    return len(list((folder / "objects" / "pack").glob("*.pack")))


@pytest.fixture
def bare(tmp_path: Path) -> Git:
    git = Git(str(tmp_path))
    git.output("init", "-q", "--bare")
    return git


def test_many_packs_become_few_and_nothing_is_lost(bare: Git, tmp_path: Path) -> None:
    assert not upkeep.is_due(str(tmp_path))
    grow(bare, upkeep.MAX_PACKS + 1)
    unreachable = bare.text("hash-object", "-w", "--stdin", stdin=b"nobody points here")
    assert upkeep.is_due(str(tmp_path))
    before = packs(tmp_path)

    async def twice() -> None:
        keeper = upkeep.Upkeep()
        keeper.add(str(tmp_path))
        keeper.add(str(tmp_path))
        while keeper._task is not None and not keeper._task.done():
            await asyncio.sleep(0.01)

    asyncio.run(twice())
    assert packs(tmp_path) < before / 4
    assert not upkeep.is_due(str(tmp_path))
    bare.output("fsck", "--strict", "--full")
    assert bare.text("cat-file", "-p", unreachable) == "nobody points here"


def test_many_loose_objects(bare: Git, tmp_path: Path) -> None:
    folder = tmp_path / "objects" / "17"
    folder.mkdir()
    for number in range(upkeep.MAX_LOOSE // 256 + 1):
        (folder / f"{number:038x}").write_bytes(b"")
    assert upkeep.is_due(str(tmp_path))


def test_a_broken_repository_is_left_alone(bare: Git, tmp_path: Path) -> None:
    grow(bare, 3)
    (tmp_path / "HEAD").unlink()
    assert asyncio.run(upkeep.repack(str(tmp_path))) is False
    assert packs(tmp_path) == 3


def test_the_hub_does_it_after_a_push(own_hub: RunningHub, tmp_path: Path) -> None:
    ada: Person = own_hub.person(tmp_path / "ada", "ada")
    folder = ada.repository("work")
    ada.commit(folder, {"a": b"a"})
    name = own_hub.new_name()
    ada.git("push", "-q", own_hub.remote(name), "main", cwd=folder)
    bare = own_hub.data / "repositories" / f"{name}.git"
    git = Git(str(bare))
    grow(git, upkeep.MAX_PACKS + 1)
    ada.git("push", "-q", own_hub.remote(name), "main:side", cwd=folder)
    for _ in range(200):
        if packs(bare) < 10:
            break
        ada.run("sleep", "0.05")
    assert packs(bare) < 10
