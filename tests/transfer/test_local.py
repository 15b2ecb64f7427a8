"""Another repository on this machine as the server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hundredweight.base.ids import Oid
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.local import NotARemote
from hundredweight.transfer.part import WrongContent
from hundredweight.transfer.queue import ObjectRefused
from hundredweight.transfer.server import BatchFailed
from tests.transfer.rig import Rig, item

DATA = b"some weights" * 1000


@pytest.fixture
def other(rig: Rig, tmp_path: Path) -> LooseStore:
    """The store of a bare repository with a blank in its path, which is the rig's remote."""
    folder = tmp_path / "the other.git"
    subprocess.run(["git", "init", "-q", "--bare", str(folder)], check=True, env=rig.env)
    rig.settings = [("remote.origin.url", f"file://{str(folder).replace(' ', '%20')}")]
    return LooseStore(str(folder / "lfs"), mode=0o666)


def test_up_and_down_again(rig: Rig, other: LooseStore) -> None:
    rig.put(DATA)
    assert rig.upload(item(DATA), item(b"", "empty")) == []
    assert Path(other.path(item(DATA).oid)).read_bytes() == DATA
    Path(rig.store.path(item(DATA).oid)).unlink()
    assert rig.download(item(DATA)) == []
    assert os.path.samefile(rig.store.path(item(DATA).oid), other.path(item(DATA).oid))


def test_a_work_tree_with_its_own_storage(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", str(folder)], check=True, env=rig.env)
    subprocess.run(["git", "-C", str(folder), "config", "lfs.storage", "elsewhere"], check=True, env=rig.env)
    rig.settings = [("remote.origin.url", str(folder))]
    rig.put(DATA)
    assert rig.upload(item(DATA)) == []
    assert (folder / ".git" / "elsewhere" / "objects").is_dir()


def test_what_is_not_there(rig: Rig, other: LooseStore) -> None:
    (failure,) = rig.download(item(DATA))
    assert isinstance(failure.error, ObjectRefused)
    assert f"remote missing object {item(DATA).oid}" in str(failure.error)
    (failure,) = rig.upload(item(DATA))
    assert str(failure.error) == f"missing object: a.bin ({item(DATA).oid})"


def test_damage_does_not_spread(rig: Rig, other: LooseStore) -> None:
    oid = rig.put(DATA)
    Path(rig.store.path(oid)).write_bytes(b"x" * len(DATA))
    (failure,) = rig.upload(item(DATA))
    assert isinstance(failure.error, WrongContent)
    assert other.size(Oid(oid)) == -1


def test_no_repository_there(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    rig.settings = [("remote.origin.url", f"file://{tmp_path}/empty")]
    rig.put(DATA)
    (failure,) = rig.upload(item(DATA))
    assert isinstance(failure.error, BatchFailed)
    assert isinstance(failure.error.cause, NotARemote)
    assert "not a git repository" in str(failure.error)
