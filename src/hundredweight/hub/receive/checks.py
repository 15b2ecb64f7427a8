"""The checks of a push. A check is a plain function `check(push) -> list[Refusal]`; `CHECKS` is the list that later ones join.

The checks of blobs share one walk over the push: a rule takes a batch of new blobs and yields what it objects to.
"""

from __future__ import annotations

from hundredweight.base.sizes import format_size
from hundredweight.formats.names import lfs_pattern
from hundredweight.hub.receive.push import Finding, Kind, Refusal
from hundredweight.hub.receive.walk import accepted, changes, new_blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hundredweight.hub.receive.push import ForeignLock, Push
    from hundredweight.hub.receive.walk import Change, NewBlob

    Rule = Callable[[Push, list[NewBlob]], Iterator[tuple[NewBlob, Kind, str]]]

MISSING = Kind("LFS pointer without its object", "LFS pointers without their objects")
WRONG_SIZE = Kind("LFS pointer whose size is not its object's", "LFS pointers whose sizes are not their objects'")
WEIGHTS = Kind("weight file outside LFS", "weight files outside LFS")
TOO_LARGE = Kind("file too large for git, outside LFS", "files too large for git, outside LFS")
LOCKED = Kind("file that somebody else has locked", "files that somebody else has locked")
PATTERNS_SHOWN = 8


def examine(push: Push) -> list[Refusal]:
    """Everything that is wrong with the push; empty when it may pass."""
    return [refusal for check in CHECKS for refusal in check(push)]


def check_blobs(push: Push) -> list[Refusal]:
    """Pointers need their objects; weights and large files need pointers."""
    found: dict[Kind, _Collected] = {}
    for batch in new_blobs(push):
        objections = [item for rule in BLOB_RULES for item in rule(push, batch)]
        old = accepted(push, {blob.change.blob for blob, _, _ in objections})
        for blob, kind, detail in objections:
            if blob.change.blob not in old:
                found.setdefault(kind, _Collected(kind)).add(blob, detail)
    return [collected.refusal() for collected in found.values()]


def pointers_have_objects(push: Push, batch: list[NewBlob]) -> Iterator[tuple[NewBlob, Kind, str]]:
    """The repository itself must hold each object, whole: that another repository on this hub does is no help to who
    clones this one."""
    pointers = [(blob, blob.pointer) for blob in batch if blob.pointer is not None]
    if not pointers:
        return
    sizes = push.authority.possessed({pointer.oid for _, pointer in pointers})
    for blob, pointer in pointers:
        if pointer.oid not in sizes:
            yield blob, MISSING, f"{pointer.oid} ({format_size(pointer.size)})"
        elif sizes[pointer.oid] != pointer.size:
            yield blob, WRONG_SIZE, f"{pointer.oid} has {sizes[pointer.oid]} bytes, the pointer says {pointer.size}"


def weights_are_pointers(push: Push, batch: list[NewBlob]) -> Iterator[tuple[NewBlob, Kind, str]]:
    """Files named like weights, and files over the limit, belong into LFS."""
    for blob in batch:
        if blob.pointer is not None or not blob.size:
            continue
        if lfs_pattern(blob.change.path):
            yield blob, WEIGHTS, format_size(blob.size)
        elif push.max_blob and blob.size > push.max_blob:
            yield blob, TOO_LARGE, f"{format_size(blob.size)}, the limit is {_binary(push.max_blob)}"


BLOB_RULES: tuple[Rule, ...] = (pointers_have_objects, weights_are_pointers)


def check_locks(push: Push) -> list[Refusal]:
    """No new commit, on any branch, changes a path that somebody else has locked."""
    if not push.tips:
        return []
    locks = {lock.path: lock for lock in push.authority.foreign_locks()}
    if not locks:
        return []
    refusal = Refusal(LOCKED)
    blocked: dict[str, ForeignLock] = {}
    for change in _changes_of(push, set(locks)):
        lock = locks[change.path]
        if change.path not in blocked:
            blocked[change.path] = lock
            refusal.add(Finding(change.path, change.commit, f"locked by {lock.owner} since {lock.since}"))
    if not blocked:
        return []
    owners = ", ".join(sorted({lock.owner for lock in blocked.values()}))
    shown = [finding.path for finding in refusal.findings][:3]
    refusal.hints = [f"ask {owners} to release the lock: " + " ".join(["git lfs unlock", *map(quoted, shown)])]
    refusal.hints.append(
        "or break it, if nobody works on the file: " + " ".join(["git lfs unlock --force", *map(quoted, shown)])
    )
    return [refusal]


CHECKS: tuple[Callable[[Push], list[Refusal]], ...] = (check_blobs, check_locks)


def _changes_of(push: Push, paths: set[str]) -> Iterator[Change]:
    """The changes of these paths. Few paths let git skip whole trees; many would not fit on its command line."""
    narrow = sorted(paths) if len(paths) <= 500 else []
    return (change for change in changes(push, narrow) if change.path in paths)


class _Collected:
    """The findings of one kind, and what its hint has to name."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._refusal = Refusal(kind)
        self._named: dict[str, None] = {}

    def add(self, blob: NewBlob, detail: str) -> None:
        self._refusal.add(Finding(blob.change.path, blob.change.commit, detail))
        if len(self._named) < PATTERNS_SHOWN:
            pointer = blob.pointer
            self._named[pointer.oid if pointer is not None else lfs_pattern(blob.change.path) or blob.change.path] = (
                None
            )

    def refusal(self) -> Refusal:
        self._refusal.hints = _hints(self.kind, list(self._named))
        return self._refusal


def _hints(kind: Kind, named: list[str]) -> list[str]:
    if kind is MISSING:
        some = " ".join(named[:3])
        return [
            f"git lfs push --object-id origin {some}",
            "or all objects that your clone has: git lfs push --all origin",
        ]
    if kind is WRONG_SIZE:
        return ["write the pointers anew: git add --renormalize . && git commit --amend"]
    patterns = ",".join(named)
    return [
        "move them to LFS, in the commits not pushed yet: git lfs migrate import --include=" + quoted(patterns),
        "and from now on: git lfs track " + " ".join(quoted(name) for name in named),
    ]


def _binary(size: int) -> str:
    """A limit as people set it: `10 MiB`."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % (unit // 1024) == 0:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"


def quoted(text: str) -> str:
    """`text` as a shell takes it."""
    return "'" + text.replace("'", "'\\''") + "'" if set(text) - _PLAIN else text


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:@%+,")
