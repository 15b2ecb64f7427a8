"""Trees and commits as bytes: taking them apart and putting them together again, nothing lost on the way."""

from __future__ import annotations

from typing import NamedTuple

from hundredweight.client.migrate.selection import MigrateError
from hundredweight.git.trees import Entry

SYMLINK = b"120000"
ATTRIBUTES = b".gitattributes"
MAX_DEPTH = 300
"""Folders in folders; the walk is recursive. What people make rarely passes 20."""

# A signature signs bytes that change; a merged tag is repeated in the merge and names the old history.
_DROPPED_HEADERS = (b"gpgsig ", b"gpgsig-sha256 ", b"mergetag ")
_SIGNATURES = (b"-----BEGIN PGP ", b"-----BEGIN SSH SIGNATURE", b"-----BEGIN SIGNED MESSAGE")


def attributes_blob(entries: list[Entry], *, any_case: bool = False) -> str:
    """The blob of the tree's `.gitattributes`, or empty. Raises `MigrateError` when it is a symbolic link: git does not
    follow it, and what it points to is not ours to change."""
    for entry in entries:
        if entry.name == ATTRIBUTES or (any_case and entry.name.lower() == ATTRIBUTES):
            if entry.mode == SYMLINK:
                raise MigrateError("expected '.gitattributes' to be a file, got a symbolic link")
            if entry.is_file:
                return entry.object
    return ""


def with_attributes(entries: list[Entry], blob: str) -> list[Entry]:
    """The tree with `.gitattributes` as an ordinary file of that content, in git's order (folders sort as `name/`)."""
    kept = [entry for entry in entries if entry.name != ATTRIBUTES]
    kept.append(Entry(b"100644", ATTRIBUTES, blob))
    return sorted(kept, key=lambda entry: entry.name + b"/" if entry.is_tree else entry.name)


class Commit(NamedTuple):
    """The two headers that a rewrite changes."""

    tree: str
    parents: list[str]


def parse_commit(data: bytes) -> Commit:
    tree = ""
    parents = []
    for line in data.partition(b"\n\n")[0].split(b"\n"):
        if line.startswith(b"tree "):
            tree = line[5:].decode()
        elif line.startswith(b"parent "):
            parents.append(line[7:].decode())
        else:
            break
    return Commit(tree, parents)


def encode_commit(original: bytes, commit: Commit) -> bytes:
    """The original with another tree and other parents, and without signatures; the rest byte by byte as it was."""
    end = original.find(b"\n\n")
    head, rest = (original[:end], original[end:]) if end >= 0 else (original.rstrip(b"\n"), b"\n")
    lines = [b"tree " + commit.tree.encode(), *(b"parent " + parent.encode() for parent in commit.parents)]
    dropping = False
    for line in head.split(b"\n"):
        if not line.startswith(b" "):
            dropping = line.startswith((b"tree ", b"parent ", *_DROPPED_HEADERS))
        if not dropping:
            lines.append(line)
    return b"\n".join(lines) + rest


def tag_target(data: bytes) -> str:
    return data.partition(b"\n")[0].removeprefix(b"object ").decode()


def encode_tag(original: bytes, target: str) -> bytes:
    """The tag with another target, and without its signature."""
    end = original.find(b"\n\n")
    head, rest = (original[:end], original[end:]) if end >= 0 else (original, b"")
    lines = [b"object " + target.encode()]
    dropping = False
    for line in head.split(b"\n")[1:]:
        if not line.startswith(b" "):
            dropping = line.startswith(_DROPPED_HEADERS)
        if not dropping:
            lines.append(line)
    for mark in _SIGNATURES:
        rest = rest.split(b"\n" + mark)[0] + b"\n" if b"\n" + mark in rest else rest
    return b"\n".join(lines) + rest
