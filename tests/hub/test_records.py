"""Recording uploads: those that come at once share a commit, and each learns its own outcome."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hundredweight.base.ids import Oid, RepoName
from hundredweight.hub.database.engine import Database, DatabaseError
from hundredweight.hub.objects.signing import Holder
from hundredweight.hub.repos.service import RepositoryMissing
from hundredweight.hub.services import Services, open_services
from hundredweight.hub.settings import Settings


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = open_services(Settings(data=str(tmp_path / "hub")))
    yield opened
    opened.close()


def oid(number: int) -> Oid:
    return Oid(f"{number:064x}")


def test_records_that_come_during_a_commit_share_the_next(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = services.repositories.create(RepoName.parse("team/model"))
    gone = Holder(999, RepoName.parse("team/gone"))
    commits: list[int] = []
    first_is_in, first_may_go = threading.Event(), threading.Event()
    write = Database.write

    @contextmanager
    def counting(self: Database) -> Iterator[Connection]:
        commits.append(1)
        if len(commits) == 1:
            first_is_in.set()
            first_may_go.wait(10)
        with write(self) as connection:
            yield connection

    monkeypatch.setattr(Database, "write", counting)
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(services.objects.record, repository, oid(0), 10, "ada")]
        first_is_in.wait(10)
        waiting += [pool.submit(services.objects.record, repository, oid(number), 10, "ada") for number in range(1, 10)]
        lost = pool.submit(services.objects.record, gone, oid(99), 10, "ada")
        while len(services.objects._queue) < 10:
            pass
        first_may_go.set()
        for one in waiting:
            one.result()
        assert isinstance(lost.exception(), RepositoryMissing)
    assert len(commits) == 2
    assert len(services.objects.possessed(repository, [oid(number) for number in range(10)])) == 10
    assert not services.objects.has(oid(99))


def test_a_commit_that_fails_fails_them_all_and_the_next_succeeds(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = services.repositories.create(RepoName.parse("team/model"))

    def broken(_self: Database) -> None:
        raise DatabaseError("the database failed: disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "write", broken)
        with pytest.raises(DatabaseError):
            services.objects.record(repository, oid(1), 10, "ada")
    services.objects.record(repository, oid(1), 10, "ada")
    services.objects.record(repository, oid(1), 10, "ada")
    assert services.objects.stats().objects == 1
