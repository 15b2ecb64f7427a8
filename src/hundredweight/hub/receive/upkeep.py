"""Keeping repositories quick: many small pushes leave many packs and loose objects, which every fetch must look through.

`git repack --geometric` joins small packs and loose objects and leaves large packs alone, so the work stays in proportion to
what came. It deletes no object, reachable or not: that is for garbage collection, which knows all refs and a grace period.
"""

from __future__ import annotations

import asyncio
import logging
import os

from hundredweight.git.run import service_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio.subprocess import Process

MAX_PACKS = 30
MAX_LOOSE = 4096
# One core and little memory: fetches and pushes go first.
SETTINGS = (
    ("pack.threads", "1"),
    ("pack.windowMemory", "128m"),
    ("repack.writeBitmaps", "false"),
    ("core.fsync", "all"),
)
log = logging.getLogger("hundredweight.hub.git")


def is_due(folder: str) -> bool:
    """Whether the bare repository has more than `MAX_PACKS` packs or about `MAX_LOOSE` loose objects. Cheap: two folders are
    listed, of which one stands for 256, as in git's own estimate."""
    objects = os.path.join(folder, "objects")
    packs = sum(name.endswith(".pack") for name in _listed(os.path.join(objects, "pack")))
    return packs > MAX_PACKS or len(_listed(os.path.join(objects, "17"))) * 256 > MAX_LOOSE


class Upkeep:
    """Repacks repositories in the background, one at a time. Used from one event loop, whose end ends it."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, folder: str) -> None:
        """Repack that repository when its turn comes."""
        self._waiting[folder] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            folder = next(iter(self._waiting))
            del self._waiting[folder]
            await repack(folder)


async def repack(folder: str) -> bool:
    """False when git failed, which the log tells: the repository is as good as before. Cancelling ends git."""
    child = await asyncio.create_subprocess_exec(
        *("git", "-C", folder, "repack", "--geometric=2", "-d", "-l", "-q"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=service_environment(SETTINGS),
        start_new_session=True,
    )
    try:
        _, said = await child.communicate()
    except asyncio.CancelledError:
        _end(child)
        raise
    if child.returncode:
        log.warning("git repack: exit code %d: %s", child.returncode, said.decode("utf-8", "replace").strip()[:2000])
    return not child.returncode


def _end(child: Process) -> None:
    try:
        child.terminate()
    except ProcessLookupError:
        return


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
