"""The journal of a target: one line of JSON a step, appended and synced, and what it tells of each deployment.

docs/formats/deployment.md has the fields. A last line that was cut off by a crash counts as not written.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hundredweight.base.errors import DamageError
from hundredweight.base.files import WriteError, fsync_folder, open_append, write_file
from hundredweight.base.trace import trace
from hundredweight.lineage.fields import Fields, RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
RESERVE = "reserve"
RESERVE_BYTES = 64 << 10
BEGUN = "begun"
READY = "ready"
SWITCHED = "switched"
HEALTHY = "healthy"
FAILED = "failed"
ROLLED_BACK = "rolled-back"
INTERRUPTED = "interrupted"
REMOVED = "removed"

DEPLOY = "deploy"
ROLLBACK = "rollback"
SERVING = "serving"
SERVED = "served"


class JournalDamaged(DamageError):
    """A line of a target's journal cannot be read. `line` is its number."""

    hint = "restore the file from a backup, or take that line out of it; 'current' and the versions are as they were"

    def __init__(self, path: str, line: int, what: str) -> None:
        super().__init__(f"'{path}', line {line}: {what}")
        self.path = path
        self.line = line


@dataclass(frozen=True, slots=True)
class What:
    """What was deployed. `source` is where from (without a password), `ref` as it was asked for, `release` the name of its tag,
    or empty."""

    source: str
    ref: str
    commit: str
    release: str = ""

    @property
    def name(self) -> str:
        """How people call it."""
        return self.release or (self.ref if self.ref and not self.commit.startswith(self.ref) else self.commit[:12])


@dataclass(frozen=True, slots=True)
class Settings:
    """How a version is made and started. Times in seconds; `keep` counts versions."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    run: str = ""
    reload: str = ""
    health: str = ""
    health_timeout: float = 60.0
    stop_timeout: float = 10.0
    keep: int = 3

    @classmethod
    def parse(cls, fields: Fields) -> Settings:
        """Raises `RecordInvalid`."""
        plain = cls()
        return cls(
            fields.texts("include"),
            fields.texts("exclude"),
            fields.text("run"),
            fields.text("reload"),
            fields.text("health"),
            fields.number("health_timeout", plain.health_timeout),
            fields.number("stop_timeout", plain.stop_timeout),
            fields.integer("keep", plain.keep),
        )


@dataclass(slots=True)
class Deployment:
    """One deployment or rollback, as far as it came. `state`: begun (it runs, or was killed), failed, interrupted, serving,
    served. `until` is when another version took its place; `back_to` the version that it gave way to when it failed."""

    number: int
    action: str
    at: str
    who: str
    host: str
    where: str
    why: str
    what: What
    folder: str
    settings: Settings
    state: str = BEGUN
    reason: str = ""
    files: int = 0
    bytes: int = 0
    fetched: int = 0
    skipped: tuple[str, ...] = ()
    switched: str = ""
    until: str = ""
    back_to: str = ""
    removed: bool = False

    @property
    def good(self) -> bool:
        """Whether it proved healthy."""
        return self.state in (SERVING, SERVED)

    def as_fields(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(slots=True)
class History:
    """All that a journal tells, in order."""

    deployments: list[Deployment] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        return self.deployments[-1].number + 1 if self.deployments else 1

    @property
    def last(self) -> Deployment | None:
        return self.deployments[-1] if self.deployments else None

    @property
    def serving(self) -> Deployment | None:
        """The one whose version the journal knows as current."""
        return next((one for one in reversed(self.deployments) if one.state == SERVING), None)

    def maker(self, folder: str) -> Deployment | None:
        """The one that made that version."""
        return next((one for one in self.deployments if one.folder == folder), None)

    def good_folders(self) -> list[str]:
        """Versions that proved healthy, the newest last."""
        return list(dict.fromkeys(one.folder for one in sorted(self.deployments, key=_age) if one.good))

    def serving_at(self, moment: str) -> Deployment | None:
        """What was served at that time (`2026-11-23T14:00:00Z`)."""
        for one in self.deployments:
            if one.good and one.switched <= moment and (not one.until or moment < one.until):
                return one
        return None


class Journal:
    """Appending takes the target's lock; reading does not."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reserve = os.path.join(os.path.dirname(path), RESERVE)

    def hold_reserve(self) -> None:
        """Take some room on the disk that is given back when there is none for a line: going back has to work then, too. Where
        there is no room for that either, nothing is changed."""
        if os.path.exists(self._reserve):
            return
        try:
            # Not zeros alone: some file systems would not store those.
            write_file(self._reserve, os.urandom(RESERVE_BYTES), mode=0o600)
        except WriteError as error:
            trace(f"no room is held in reserve: {error}")

    def read(self) -> History:
        """Raises `JournalDamaged`."""
        try:
            with open(self.path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return History()
        return parse(self.path, data.split(b"\n")[:-1])

    def write(self, event: str, number: int, folder: str, **fields: object) -> None:
        """Add a step; it is on the disk afterwards. Raises `WriteError`; then the step does not count."""
        line = {"version": VERSION, "event": event, "number": number, "at": now(), "folder": folder, **fields}
        data = json.dumps(line, ensure_ascii=False, separators=(", ", ": ")).encode("utf-8", "surrogatepass") + b"\n"
        try:
            self._add(data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not os.path.exists(self._reserve):
                raise WriteError(self.path, error) from error
            self._add_with_reserve(data)

    def _add_with_reserve(self, data: bytes) -> None:
        try:
            os.unlink(self._reserve)
            self._add(data)
        except OSError as error:
            raise WriteError(self.path, error) from error

    def _add(self, data: bytes) -> None:
        new = not os.path.exists(self.path)
        descriptor = open_append(self.path, 0o644)
        try:
            _append(descriptor, data)
        finally:
            os.close(descriptor)
        if new:
            fsync_folder(os.path.dirname(self.path))


def now() -> str:
    """UTC, to the microsecond: two steps of one second keep their order."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"


def parse(path: str, lines: Iterable[bytes]) -> History:
    """What the lines tell. Unknown events are passed over: a newer program may have written them. Raises `JournalDamaged`."""
    history = History()
    known: dict[int, Deployment] = {}
    for number, line in enumerate(lines, 1):
        try:
            fields = Fields(json.loads(line), f"line {number}")
            event, which = fields.text("event"), fields.integer("number")
            if event == BEGUN:
                known[which] = _begun(which, fields)
                history.deployments.append(known[which])
            elif which in known:
                _take(history, known[which], event, fields)
        except (ValueError, RecordInvalid) as error:
            what = error.what if isinstance(error, RecordInvalid) else "it is no JSON"
            raise JournalDamaged(path, number, what) from error
    return history


def _begun(number: int, fields: Fields) -> Deployment:
    what = Fields(fields.table.get("what"), f"{fields.where}, what")
    settings = Fields(fields.table.get("settings"), f"{fields.where}, settings")
    return Deployment(
        number,
        fields.text("action"),
        fields.text("at"),
        fields.text("who"),
        fields.text("host"),
        fields.text("where"),
        fields.text("why"),
        What(what.text("source"), what.text("ref"), what.text("commit"), what.text("release")),
        fields.text("folder"),
        Settings.parse(settings),
    )


def _take(history: History, one: Deployment, event: str, fields: Fields) -> None:
    at = fields.text("at")
    if event == READY:
        one.files, one.bytes, one.fetched = (fields.integer(key) for key in ("files", "bytes", "fetched"))
        one.skipped = fields.texts("skipped")
    elif event == SWITCHED:
        one.switched = at
    elif event == HEALTHY:
        before = history.serving
        if before is not None:
            before.state, before.until = SERVED, one.switched
        one.state = SERVING
    elif event in (FAILED, INTERRUPTED):
        one.state = FAILED if event == FAILED else INTERRUPTED
        one.reason = fields.text("reason")
        one.back_to = fields.text("to")
    elif event == ROLLED_BACK:
        one.back_to = fields.text("to")
        one.until = at
    elif event == REMOVED:
        for other in history.deployments:
            other.removed = other.removed or other.folder == fields.text("folder")


def _age(one: Deployment) -> int:
    """The number that made the version, which its name begins with."""
    head = one.folder.partition("-")[0]
    return int(head) if head.isdigit() else one.number


def _append(descriptor: int, data: bytes) -> None:
    """At the end, after the last whole line."""
    end = _whole(descriptor)
    os.ftruncate(descriptor, end)
    try:
        left = memoryview(data)
        at = end
        while left:
            count = os.pwrite(descriptor, left, at)
            at += count
            left = left[count:]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _whole(descriptor: int) -> int:
    """Where the last line feed ends."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 4096)
        place = os.pread(descriptor, end - start, start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
