"""`git lfs migrate info`: how much of which kind of file a history holds. Reads sizes, not content."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hundredweight.client.migrate.scope import ScopeReader
from hundredweight.client.migrate.selection import select_commits
from hundredweight.client.migrate.trees import attributes_blob, parse_commit
from hundredweight.git.objects import MissingObject, ObjectReader
from hundredweight.git.trees import parse_tree
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hundredweight.client.migrate.plan import Choice, Listener
    from hundredweight.client.migrate.scope import Scope
    from hundredweight.client.migrate.selection import Selection
    from hundredweight.client.workspace import Workspace

FOLLOW, NO_FOLLOW, IGNORE = "follow", "no-follow", "ignore"
_GROUP = 1000


@dataclass
class Row:
    """Files of one kind: `name` is `*.ext`, or the file's own name, or LFS_OBJECTS. `above` and `size` count those that
    are larger than the threshold."""

    name: str
    total: int = 0
    above: int = 0
    size: int = 0

    def count(self, size: int, threshold: int) -> None:
        self.total += 1
        if size > threshold:
            self.above += 1
            self.size += size


LFS_OBJECTS = "LFS Objects"


@dataclass(frozen=True)
class Summary:
    """`rows` by size, largest first, without those that have nothing above the threshold; `objects` counts what
    pointers stand for, None when there are none (or they were not followed)."""

    rows: Sequence[Row]
    objects: Row | None


def survey(
    workspace: Workspace, selection: Selection, choice: Choice, listener: Listener, *, pointers: str = FOLLOW
) -> Summary:
    """`pointers` says what a pointer counts as: its object (FOLLOW), the text that it is (NO_FOLLOW), nothing (IGNORE).
    Each content is counted once per path. Raises `MigrateError`, `GitError`, `MissingObject`."""
    git = workspace.git.with_env(GIT_NO_REPLACE_OBJECTS="1")
    commits = select_commits(git, selection, listener, bare=workspace.repository.bare)
    with ObjectReader(git) as reader:
        walk = _Walk(reader, choice, 32 if workspace.repository.object_format == "sha256" else 20)
        count = _Count(reader, choice.above, pointers)
        for number, name in enumerate(commits, 1):
            count.add(walk.new_files(name))
            listener.commit(number)
        count.flush()
    rows = sorted((row for row in count.rows.values() if row.above), key=lambda row: (-row.size, row.name))
    return Summary(rows, count.objects if count.objects.total else None)


class _Walk:
    """The files of each commit that no earlier commit had at the same path."""

    def __init__(self, reader: ObjectReader, choice: Choice, width: int) -> None:
        self._reader = reader
        self._choice = choice
        self._width = width
        self._scopes = ScopeReader(reader, width) if choice.fixup else None
        self._seen: set[tuple[str, str, object]] = set()

    def new_files(self, commit: str) -> Iterator[tuple[str, str]]:
        """(path, blob) of files that are chosen."""
        root = parse_commit(self._reader.read(commit)).tree
        pending: list[tuple[str, str, Scope | None]] = [("", root, None)]
        while pending:
            path, tree, above = pending.pop()
            scope = self._scopes.enter(above, path, tree) if self._scopes else None
            key = scope.key if scope else None
            if (path, tree, key) in self._seen:
                continue
            self._seen.add((path, tree, key))
            entries = parse_tree(self._reader.read(tree), self._width)
            attributes_blob(entries, any_case=not self._choice.fixup)
            for entry in entries:
                inner = f"{path}/{os.fsdecode(entry.name)}" if path else os.fsdecode(entry.name)
                if entry.is_tree:
                    pending.append((inner, entry.object, scope))
                elif entry.is_file and self._chosen(inner, scope) and (inner, entry.object, None) not in self._seen:
                    self._seen.add((inner, entry.object, None))
                    yield inner, entry.object

    def _chosen(self, path: str, scope: Scope | None) -> bool:
        if not self._choice.paths.allows(path):
            return False
        return scope is None or (not path.endswith(".gitattributes") and scope.gives_to_lfs(path))


class _Count:
    """Adds up files by the thousand: sizes in one question, then the content of what may be a pointer."""

    def __init__(self, reader: ObjectReader, threshold: int, pointers: str) -> None:
        self.rows: dict[str, Row] = {}
        self.objects = Row(LFS_OBJECTS)
        self._reader = reader
        self._threshold = threshold
        self._pointers = pointers
        self._pending: list[tuple[str, str]] = []

    def add(self, files: Iterable[tuple[str, str]]) -> None:
        self._pending.extend(files)
        if len(self._pending) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        sizes = self._sizes(dict.fromkeys(blob for _, blob in self._pending))
        represented = self._represented([blob for blob, size in sizes.items() if size < CUTOFF])
        for path, blob in self._pending:
            if blob not in represented:
                self._row(path).count(sizes[blob], self._threshold)
            elif self._pointers == FOLLOW:
                self.objects.count(represented[blob], self._threshold)
        self._pending = []

    def _sizes(self, blobs: Iterable[str]) -> dict[str, int]:
        sizes = {}
        for blob, info in zip(blobs, self._reader.infos(blobs), strict=True):
            if info is None:
                raise MissingObject(blob)
            sizes[blob] = info.size
        return sizes

    def _represented(self, blobs: list[str]) -> dict[str, int]:
        """Of the pointers among small blobs: the size of the object."""
        if self._pointers == NO_FOLLOW:
            return {}
        found = {}
        pending = iter(blobs)
        while group := list(islice(pending, _GROUP)):
            for blob, content in zip(group, self._reader.contents(group), strict=True):
                pointer = try_parse(content[1]) if content else None
                if pointer is not None:
                    found[blob] = pointer.size
        return found

    def _row(self, path: str) -> Row:
        name = path.rpartition("/")[2]
        dot = name.rfind(".")
        kind = f"*{name[dot:]}" if dot >= 0 else name
        return self.rows.setdefault(kind, Row(kind))
