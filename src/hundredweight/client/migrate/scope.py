"""The `.gitattributes` files in force at a folder of a committed tree: which files they give to LFS.

Each commit is judged by its own attributes, so the same blob at the same path may be meant in one commit and not in
another. Deeper files win over those above, later lines over earlier ones; macros (`[attr]name ...`) are defined at the
top of the tree, as git has it (gitattributes(5)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.client.migrate.trees import attributes_blob
from hundredweight.git.attributes import FILE_NAME, Macros, lfs_patterns, parse
from hundredweight.git.trees import parse_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.git.attributes import AttributePattern
    from hundredweight.git.objects import ObjectReader


class Scope:
    """Immutable. Two scopes with one `key` give the same answers."""

    def __init__(
        self, parent: Scope | None, path: str, blob: str, patterns: Sequence[AttributePattern], macros: Macros
    ) -> None:
        self.key: tuple[str, ...] = (*(parent.key if parent else ()), path, blob)
        self.macros = macros
        self._parent = parent
        self._patterns = [pattern for pattern in patterns if pattern.filter is not None]

    def gives_to_lfs(self, path: str) -> bool:
        """`path` is below this folder, relative to the top of the tree."""
        for pattern in reversed(self._patterns):
            if pattern.matches(path):
                return pattern.is_tracked
        return self._parent is not None and self._parent.gives_to_lfs(path)


class ScopeReader:
    """Makes the scopes of trees; each `.gitattributes` is parsed once."""

    def __init__(self, reader: ObjectReader, width: int) -> None:
        self._reader = reader
        self._width = width
        self._blobs: dict[str, str] = {}
        self._scopes: dict[tuple[object, str, str], Scope] = {}

    def enter(self, parent: Scope | None, path: str, tree: str) -> Scope:
        """The scope of the folder `path`, whose content is `tree`. Raises `MigrateError` for a symbolic link."""
        if tree not in self._blobs:
            self._blobs[tree] = attributes_blob(parse_tree(self._reader.read(tree), self._width))
        blob = self._blobs[tree]
        if parent is not None and not blob:
            return parent
        key = (parent.key if parent else None, path, blob)
        if key not in self._scopes:
            text = self._reader.read(blob) if blob else b""
            macros = parent.macros if parent else Macros()
            if parent is None:
                macros.read(parse(text))
            self._scopes[key] = Scope(parent, path, blob, lfs_patterns(text, path, FILE_NAME, macros), macros)
        return self._scopes[key]
