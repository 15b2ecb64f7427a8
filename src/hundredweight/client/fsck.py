"""`git lfs fsck`: whether objects are what their names say, and whether files that should be pointers are.

`check_objects` and `check_pointers` only look; `quarantine` moves what is corrupt out of the store, to lfs/bad.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError
from hundredweight.base.files import publish
from hundredweight.base.ids import Oid
from hundredweight.base.quoting import quote
from hundredweight.base.trace import trace
from hundredweight.client.settings import Settings
from hundredweight.git.attributes import FILE_NAME, rules_of
from hundredweight.git.objects import ObjectReader
from hundredweight.git.patterns import PathFilter
from hundredweight.git.refs import resolve
from hundredweight.git.scan import scan_index, scan_range, scan_tree, tree_entries
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.attributes import AttributeRules
    from hundredweight.git.scan import BlobEntry, PointerFile
    from hundredweight.store.local import LocalStore

WORKERS = 4
PACK_DAMAGE = "corruptPack"


@dataclass(frozen=True)
class Scope:
    """What to check: the tree of commit `include`, or, given `exclude`, every commit between them; and the index. An empty
    `include` is a repository without commits."""

    include: str
    exclude: str = ""
    index: bool = False


@dataclass(frozen=True)
class Finding:
    """One fault: `kind` and `message` are git-lfs's words. `oid` names the object, empty when it is none's; `pack` the pack."""

    kind: str
    message: str
    oid: str = ""
    pack: str = ""


def parse_scope(workspace: Workspace, revision: str) -> Scope:
    """`REV`, `A..B`, or empty for HEAD and the index. Raises `UnknownRef`."""
    git = workspace.git
    if not revision:
        head = git.run("rev-parse", "--verify", "--quiet", "HEAD")
        return Scope(os.fsdecode(head.out).strip(), index=True)
    first, dots, last = revision.partition("..")
    if not dots:
        return Scope(resolve(git, first).commit)
    return Scope(resolve(git, last).commit, resolve(git, first).commit)


def check_objects(workspace: Workspace, scope: Scope) -> Iterator[Finding]:
    """Hash every object that the scope's pointers name, each once. Paths that lfs.fetchexclude leaves out are not missed."""
    settings = Settings(workspace.config, workspace.variables)
    files = _pointer_files(workspace, scope, PathFilter((), settings.fetch_exclude))
    with ThreadPoolExecutor(WORKERS) as pool:
        for finding in pool.map(lambda file: _check_object(workspace.store, file), _once(files)):
            if finding is not None:
                yield finding


def _pointer_files(workspace: Workspace, scope: Scope, paths: PathFilter) -> Iterator[PointerFile]:
    if scope.exclude:
        yield from scan_range(workspace.git, [scope.include], [scope.exclude], paths=paths)
    elif scope.include:
        yield from scan_tree(workspace.git, scope.include, paths)
    if scope.index:
        yield from scan_index(workspace.git, paths)


def _once(files: Iterable[PointerFile]) -> Iterator[PointerFile]:
    seen: set[Oid] = set()
    for file in files:
        if file.pointer.oid not in seen:
            seen.add(file.pointer.oid)
            yield file


def _check_object(store: LocalStore, file: PointerFile) -> Finding | None:
    oid = file.pointer.oid
    path = store.path(oid)
    trace(f"Examining {file.path} ({path})")
    if file.pointer.size == 0:
        return None
    try:
        got = _hash(store, oid)
    except DamageError as error:
        return Finding("corruptObject", f"{file.path} ({oid}) is corrupt: {error.message}", oid)
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        return Finding("openError", f"{file.path} ({oid}) could not be checked: {said}", oid)
    return None if got == oid else Finding("corruptObject", f"{file.path} ({oid}) is corrupt", oid)


def _hash(store: LocalStore, oid: Oid) -> str:
    """The SHA-256 of what the store has for the object. Raises `OSError`, `DamageError`."""
    try:
        with open(store.path(oid), "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        if not store.is_packed(oid):
            raise
    digest = hashlib.sha256()
    for piece in store.open_stream(oid):
        digest.update(piece)
    return digest.hexdigest()


def check_packs(workspace: Workspace) -> Iterator[Finding]:
    """Read all packs: their hashes, their segments, their objects. Raises `OSError`."""
    if not workspace.store.has_packs:
        return
    from hundredweight.store.repack import check  # noqa: PLC0415 - numpy, only where there are packs

    for fault in check(workspace.store.packs).faults:
        what = f"object {fault.oid} in pack {fault.pack[:12]}" if fault.oid else f"pack {fault.pack[:12]}"
        yield Finding(PACK_DAMAGE, f"{what} is corrupt: {fault.reason}", fault.oid, fault.pack)


def check_pointers(workspace: Workspace, scope: Scope) -> Iterator[Finding]:
    """Look at every file that the attributes of its own commit give to LFS: is it a pointer, and a canonical one?"""
    if not scope.include:
        return
    with ObjectReader(workspace.git) as reader:
        checker = _PointerChecker(reader)
        commits = [scope.include]
        if scope.exclude:
            commits = workspace.git.text("rev-list", scope.include, "^" + scope.exclude, "--").split()
        for commit in commits:
            entries = [entry for entry in tree_entries(workspace.git, commit) if entry.is_regular]
            yield from checker.check(commit, entries)


class _PointerChecker:
    """Checks tree after tree; what was seen in one is not reported again in the next."""

    def __init__(self, reader: ObjectReader) -> None:
        self._reader = reader
        self._pointers: dict[str, Pointer | None] = {}
        self._attributes: dict[str, bytes] = {}
        self._reported: set[tuple[str, str]] = set()

    def check(self, treeish: str, entries: list[BlobEntry]) -> Iterator[Finding]:
        rules = self._rules([entry for entry in entries if os.path.basename(entry.path) == FILE_NAME])
        tracked = [entry for entry in entries if rules.is_tracked(entry.path)]
        self._read([entry.blob for entry in tracked if entry.size < CUTOFF])
        for entry in tracked:
            finding = self._judge(treeish, entry)
            if finding is not None and (entry.path, entry.blob) not in self._reported:
                self._reported.add((entry.path, entry.blob))
                yield finding

    def _judge(self, treeish: str, entry: BlobEntry) -> Finding | None:
        pointer = self._pointers.get(entry.blob) if entry.size < CUTOFF else None
        if pointer is None:
            said = f"{quote(entry.path)} (treeish {treeish}) should have been a pointer but was not"
            return Finding("unexpectedGitObject", said)
        trace(f"Examining {pointer.oid} ({entry.path})")
        if pointer.canonical:
            return None
        said = f"Pointer for {pointer.oid} (blob {entry.blob}) was not canonical"
        return Finding("nonCanonicalPointer", said, pointer.oid)

    def _read(self, blobs: list[str]) -> None:
        new = [blob for blob in dict.fromkeys(blobs) if blob not in self._pointers]
        for blob, answer in zip(new, self._reader.contents(new), strict=True):
            self._pointers[blob] = try_parse(answer[1]) if answer is not None else None

    def _rules(self, files: list[BlobEntry]) -> AttributeRules:
        for entry in files:
            if entry.blob not in self._attributes:
                self._attributes[entry.blob] = self._reader.read(entry.blob)
        return rules_of((entry.path, self._attributes[entry.blob]) for entry in files)


def quarantine(store: LocalStore, findings: Iterable[Finding]) -> None:
    """Move the objects to lfs/bad, where nobody takes them for good ones and somebody may still look at them. Those in packs are
    taken out of the packs, together with what cannot be read there; all that can be read stays."""
    packed: list[Oid] = []
    packs: set[str] = set()
    for finding in findings:
        packs |= {finding.pack} - {""}
        if not finding.oid:
            continue
        oid = Oid(finding.oid)
        try:
            # Damage in packs is none of a loose copy's beside it.
            if finding.kind != PACK_DAMAGE:
                publish(store.path(oid), os.path.join(store.bad, oid))
                continue
        except FileNotFoundError:
            pass
        packed += [oid] if store.is_packed(oid) else []
    if packs or packed:
        _take_out(store, packed, packs)


def _take_out(store: LocalStore, oids: list[Oid], packs: set[str]) -> None:
    from hundredweight.store.repack import execute, plan_repack, set_aside  # noqa: PLC0415 - numpy, only where there are packs

    folder = store.packs
    with folder.lock():
        set_aside(folder, packs & folder.damaged.keys(), store.bad)
        execute(folder, plan_repack(folder, oids, packs & set(folder.names())))
