"""The hub's side of one push: `git receive-pack` prepared with the hook, and the hook's questions answered."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from hundredweight.base.files import write_file
from hundredweight.base.ids import Oid
from hundredweight.hub.context import in_thread
from hundredweight.hub.receive.channel import DESCRIPTOR, MAX_BLOB, MAX_LINE, answer
from hundredweight.hub.receive.push import ForeignLock
from hundredweight.hub.smarthttp.service import GitCall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from hundredweight.hub.repos.service import Repository
    from hundredweight.hub.services import Services
    from hundredweight.hub.settings import Settings

log = logging.getLogger("hundredweight.hub.receive")

# -I and -S: no user's and no site's modules; 10 ms less. The hub's own modules come from where the hub runs.
HOOK = """#!/bin/sh
# Written by `cwt hub serve` at its start. Changes are overwritten.
exec "$CWT_HUB_PYTHON" -I -S -c 'import sys
sys.path[:0] = sys.argv[1:]
sys.argv[1:] = ["hub", "pre-receive"]
from hundredweight.cli.main import cwt
cwt()' "$CWT_HUB_PACKAGES"
"""
PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def hooks_folder(settings: Settings) -> str:
    return settings.inside("hooks")


def write_hooks(settings: Settings) -> None:
    """Put the hook where git finds it. It names no path: processes that share the folder may be installed anywhere."""
    write_file(os.path.join(hooks_folder(settings), "pre-receive"), HOOK.encode(), mode=0o755)


@asynccontextmanager
async def receiving(services: Services, repository: Repository, user: str) -> AsyncIterator[GitCall]:
    """A `git receive-pack` whose hook can ask this process about the repository, as long as the context lasts."""
    ours, hooks = socket.socketpair()
    with hooks:
        talk = asyncio.create_task(_answer(ours, HubAuthority(services, repository, user)))
        descriptor = hooks.fileno()
        variables = {
            DESCRIPTOR: str(descriptor),
            MAX_BLOB: str(services.settings.max_blob),
            "CWT_HUB_PYTHON": sys.executable,
            "CWT_HUB_PACKAGES": PACKAGES,
            # Whom the ref logs name.
            "GIT_COMMITTER_NAME": user,
            "GIT_COMMITTER_EMAIL": f"{user}@hub",
        }
        settings = (("core.hooksPath", hooks_folder(services.settings)),)
        try:
            yield GitCall(
                "receive-pack", repository.path, settings=settings, variables=variables, pass_fds=(descriptor,)
            )
        finally:
            talk.cancel()
            (failure,) = await asyncio.gather(talk, return_exceptions=True)
            if isinstance(failure, Exception):
                # The hook has refused the push for want of an answer, and the user has been told so.
                log.error("a pre-receive hook got no answer", exc_info=failure)


async def _answer(ours: socket.socket, authority: HubAuthority) -> None:
    """Answer until cancelled. What fails here closes the channel, and the hook refuses the push."""
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE)
    try:
        while line := await reader.readline():
            writer.write(await in_thread(answer, line, authority))
            await writer.drain()
    finally:
        writer.close()


class HubAuthority:
    """The database's knowledge about one repository, for one user's push."""

    def __init__(self, services: Services, repository: Repository, user: str) -> None:
        self._services = services
        self._repository = repository
        self._user = user

    def possessed(self, oids: Iterable[str]) -> Mapping[str, int]:
        found = self._services.objects.possessed(self._repository, [Oid.parse(oid) for oid in oids])
        return {str(oid): size for oid, size in found.items()}

    def foreign_locks(self) -> list[ForeignLock]:
        found = self._services.locks.foreign(self._repository.id, self._user)
        return [ForeignLock(lock.path, lock.owner, lock.locked_at, lock.id) for lock in found]
