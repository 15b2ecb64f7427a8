"""Small objects that come several at a time: one request for each would take longer than their bytes."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from hundredweight.protocol.bundle import BUNDLE, LONGEST, MOST, MOST_BYTES, BundleRequest, read_bundle
from hundredweight.protocol.message import MEDIA_TYPE
from hundredweight.transfer.actions import Actions
from hundredweight.transfer.part import part_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hundredweight.base.ids import Oid
    from hundredweight.store.loose import LooseStore
    from hundredweight.transfer.actions import Job
    from hundredweight.transfer.server import LfsServer


class Bundles:
    """From one server into `store`. Thread-safe."""

    def __init__(self, server: LfsServer, store: LooseStore) -> None:
        self._actions = Actions(server)
        self._store = store

    def together(self, jobs: Sequence[Job], more: Job) -> bool:
        """Whether `more` may come with `jobs`, which may be none yet."""
        if len(jobs) >= MOST or sum(job.size for job in jobs) + more.size > MOST_BYTES:
            return False
        action = more.answer.actions.get(BUNDLE)
        if action is None or (jobs and action.href != jobs[0].answer.actions[BUNDLE].href):
            return False
        # What came of an object in a former try is used, and removed, by who downloads it alone.
        return not os.path.exists(part_path(self._store, more.oid))

    def download(self, jobs: Sequence[Job], arrived: Callable[[Job], None]) -> None:
        """Bring the objects into the store; `arrived` is called with each that is there. Others, and all after a `CwtError`, are
        to be downloaded alone: that tells what is wrong with them."""
        action = self._actions.need(jobs[0], BUNDLE)
        request = self._actions.request("POST", action, "", {"Content-Type": MEDIA_TYPE})
        request.body = BundleRequest(tuple(job.oid for job in jobs)).encode()
        with self._actions.send(jobs[0], action, request) as response:
            contents = read_bundle(response.content(LONGEST), len(jobs))
        for job, content in zip(jobs, contents, strict=True):
            if content is not None and len(content) == job.size and _is(content, job.oid):
                job.begun()
                self._keep(job, content)
                job.advance(job.size)
                arrived(job)

    def _keep(self, job: Job, content: memoryview) -> None:
        if self._store.size(job.oid) == job.size:
            return
        with self._store.writer() as file:
            file.write(content)
            file.commit(self._store.path(job.oid))


def _is(content: memoryview, oid: Oid) -> bool:
    return hashlib.sha256(content).hexdigest() == oid
