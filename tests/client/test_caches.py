"""What is kept about objects goes with them; what is still of use stays."""

from __future__ import annotations

import os
from pathlib import Path

from hundredweight.client.caches import OLD, sweep_caches
from hundredweight.client.workspace import Workspace
from tests.clones import Clone, oid_of
from tests.people import Person

NOW = 2_000_000_000.0
COMMITTED, UNKNOWN, LOOSE = b"c" * 100, b"u" * 100, b"l" * 100


def keep(folder: Path, content: bytes, age: float = OLD + 1) -> Path:
    oid = oid_of(content)
    path = folder / oid[:2] / oid
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"kept")
    os.utime(path, (NOW - age, NOW - age))
    return path


def prepared(tmp_path: Path) -> tuple[Workspace, list[Path], list[Path]]:
    """A clone with what is to go, and what is to stay."""
    clone = Clone(tmp_path / "clone")
    clone.commit_file("model.bin", COMMITTED)
    clone._object(COMMITTED).unlink()
    clone.store(LOOSE)
    recipes = clone.folder / ".git" / "lfs" / "recipes"
    tensors, told = (clone.folder / ".git" / "hundredweight" / name for name in ("tensors", "recipes"))
    gone = [keep(recipes, COMMITTED), keep(recipes, UNKNOWN), keep(tensors, UNKNOWN), keep(told, UNKNOWN)]
    stay = [keep(recipes, LOOSE), keep(tensors, LOOSE), keep(tensors, COMMITTED), keep(told, COMMITTED)]
    stay.append(keep(tensors, b"young", 10))
    stay.append(recipes / "notes")
    stay[-1].write_bytes(b"not ours")
    os.utime(stay[-1], (0, 0))
    return clone.workspace(), gone, stay


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    space, gone, stay = prepared(tmp_path)
    assert sweep_caches(space, NOW) == len(gone)
    assert [path.exists() for path in (*gone, *stay)] == [False] * len(gone) + [True] * len(stay)
    assert sweep_caches(space, NOW) == 0


def test_prune_and_pack_sweep(tmp_path: Path) -> None:
    ada = Person("ada", tmp_path / "ada")
    ada.run("git", "lfs", "install", "--skip-repo")
    work = ada.repository("work")
    ada.commit(work, {"model.bin": os.urandom(100)})
    for command in (("git", "lfs", "prune"), ("cwt", "pack")):
        kept = keep(work / ".git" / "hundredweight" / "tensors", UNKNOWN, age=NOW)
        if command[-1] == "prune":
            ada.run(*command, "--dry-run", cwd=work)
            assert kept.exists()
        ada.run(*command, cwd=work)
        assert not kept.exists()
