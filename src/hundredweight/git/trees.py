"""Trees as bytes: taking them apart, putting them together again, and writing one that differs from another in some paths.

No index and no work tree are touched, so any number of processes may do this at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hundredweight.git.objects import MissingObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.git.objects import ObjectReader
    from hundredweight.git.run import Git

TREE = b"40000"
FILES = frozenset((b"100644", b"100755", b"100664"))


class Entry(NamedTuple):
    """One line of a tree. `mode` as git wrote it, `name` one component, `object` in hex."""

    mode: bytes
    name: bytes
    object: str

    @property
    def is_tree(self) -> bool:
        return self.mode.lstrip(b"0") == TREE

    @property
    def is_file(self) -> bool:
        return self.mode in FILES


def parse_tree(data: bytes, width: int) -> list[Entry]:
    """`width` is the bytes of an object's name: 20, or 32 in a SHA-256 repository."""
    entries = []
    place = 0
    while place < len(data):
        space = data.index(b" ", place)
        null = data.index(b"\0", space)
        end = null + 1 + width
        entries.append(Entry(data[place:space], data[space + 1 : null], data[null + 1 : end].hex()))
        place = end
    return entries


def encode_tree(entries: list[Entry]) -> bytes:
    return b"".join(b"%b %b\0%b" % (mode, name, bytes.fromhex(name_hex)) for mode, name, name_hex in entries)


def write_object(git: Git, kind: str, data: bytes) -> str:
    """The name of a new object with that content. Raises `GitError`."""
    return git.text("hash-object", "-t", kind, "-w", "--stdin", stdin=data)


def change_tree(git: Git, reader: ObjectReader, tree: str, changes: Mapping[str, str | None]) -> str:
    """A tree as `tree` (empty: none) in which each path of `changes` is a file with that blob, or is gone (None). A file
    keeps its
    mode, a new one is plain; `100755 BLOB` gives another.

    Raises `GitError`, `MissingObject`.
    """
    return _changed(git, reader, tree, changes) or write_object(git, "tree", b"")


def _changed(git: Git, reader: ObjectReader, tree: str, changes: Mapping[str, str | None]) -> str:
    """As `change_tree`; empty for a tree without entries, which git's trees do not hold."""
    entries: dict[bytes, Entry] = {}
    if tree:
        found = next(iter(reader.contents([tree])))
        if found is None:
            raise MissingObject(tree)
        entries = {entry.name: entry for entry in parse_tree(found[1], len(tree) // 2)}
    below: dict[str, dict[str, str | None]] = {}
    for path, blob in changes.items():
        first, _, rest = path.partition("/")
        if rest:
            below.setdefault(first, {})[rest] = blob
            continue
        name = first.encode("utf-8", "surrogateescape")
        if blob is None:
            entries.pop(name, None)
        else:
            given, _, object_name = blob.rpartition(" ")
            mode = entries[name].mode if name in entries and entries[name].is_file else b"100644"
            entries[name] = Entry(given.encode() or mode, name, object_name)
    for folder, inside in below.items():
        name = folder.encode("utf-8", "surrogateescape")
        old = entries.get(name)
        new = _changed(git, reader, old.object if old is not None and old.is_tree else "", inside)
        entries[name] = Entry(TREE, name, new)
        if not new:
            del entries[name]
    ordered = sorted(entries.values(), key=lambda entry: entry.name + b"/" if entry.is_tree else entry.name)
    return write_object(git, "tree", encode_tree(ordered)) if ordered else ""
