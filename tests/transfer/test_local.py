from __future__ import annotations

import os
from pathlib import Path

import pytest

from hundredweight.base.progress import NullMeter
from hundredweight.client.workspace import open_workspace
from hundredweight.protocol.batch import DOWNLOAD, UPLOAD
from hundredweight.store.loose import LooseStore
from hundredweight.transfer.basic import ObjectMissing
from hundredweight.transfer.local import LocalQueue, NoLocalRepository, open_queue
from hundredweight.transfer.queue import Item, TransferOptions, TransferQueue
from hundredweight.transfer.server import LfsServer, open_server
from tests.clones import Clone, oid_of
from tests.transfer.rig import CountingMeter

CONTENT = b"weights" * 100


def item(content: bytes = CONTENT, size: int = -1) -> Item:
    return Item(oid_of(content), len(content) if size < 0 else size, "w.bin")


def server_at(clone: Clone, remote: str) -> LfsServer:
    workspace = open_workspace(clone.git, dict(os.environ))
    return open_server(workspace.config, workspace.git, workspace.variables, remote, DOWNLOAD)


@pytest.fixture
def here(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "there")


def test_objects_come_and_go_without_a_server(here: Clone, there: Clone) -> None:
    there.store(CONTENT)
    store = here.workspace().store
    meter = CountingMeter()
    told = []
    with server_at(here, f"file://{there.folder}/.git") as server:
        queue = open_queue(server, DOWNLOAD, store, TransferOptions(), meter, lambda *fate: told.append(fate))
        assert isinstance(queue, LocalQueue)
        with queue:
            queue.add(item())
            queue.add(item())
            assert queue.wait() == []
        assert here.has(CONTENT)
        assert [error for _, error in told] == [None, None]
        new = here.store(b"new weights")
        with open_queue(server, UPLOAD, store, TransferOptions(), NullMeter()) as queue:
            queue.add(Item(new, len(b"new weights"), "n.bin"))
            queue.close()
            assert queue.wait() == []
    assert there.has(b"new weights")


def test_what_is_not_there_or_of_another_size_is_told(here: Clone, there: Clone) -> None:
    there.store(CONTENT)
    with server_at(here, f"file://{there.folder}") as server:
        queue = open_queue(server, DOWNLOAD, here.workspace().store, TransferOptions(), NullMeter())
        queue.add(item(b"nobody has this"))
        queue.add(item(size=5))
        failures = queue.wait()
    assert isinstance(failures[0].error, ObjectMissing)
    assert "does not have 5 bytes" in str(failures[1].error)
    assert not here.has(CONTENT)


def test_the_other_repository_may_keep_its_objects_elsewhere(here: Clone, there: Clone, tmp_path: Path) -> None:
    there.git.output("config", "lfs.storage", str(tmp_path / "elsewhere"))
    other = LooseStore(str(tmp_path / "elsewhere"))
    with other.writer() as file:
        file.write(CONTENT)
        file.commit(other.path(oid_of(CONTENT)))
    with server_at(here, f"file://{there.folder}") as server:
        queue = open_queue(server, DOWNLOAD, here.workspace().store, TransferOptions(), NullMeter())
        queue.add(item())
        assert queue.wait() == []


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_that_is_no_repository_is_told(here: Clone, tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "plain").mkdir()
    with (
        server_at(here, f"file://{tmp_path}/plain") as server,
        pytest.raises(NoLocalRepository, match="is not a git repository"),
    ):
        open_queue(server, DOWNLOAD, here.workspace().store, TransferOptions(), NullMeter())


def test_another_machine_gets_the_usual_queue(here: Clone) -> None:
    with server_at(here, "http://127.0.0.1:9/o/n.git") as server:
        queue = open_queue(server, DOWNLOAD, here.workspace().store, TransferOptions(), NullMeter())
        assert isinstance(queue, TransferQueue)
        with queue:
            assert queue.wait() == []
