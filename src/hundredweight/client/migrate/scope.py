"""The `.gitattributes` files in force at a folder of a committed tree: which files they give to LFS.

Each commit is judged by its own attributes, so the same blob at the same path may be meant in one commit and not in
another. Deeper files win over those above, later lines over earlier ones; macros (`[attr]name ...`) are defined at the
top of the tree, as git has it (gitattributes(5)).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.client.migrate.trees import attributes_blob, parse_tree
from hundredweight.git.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hundredweight.git.objects import ObjectReader

_MACRO = "[attr]"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f", "a": "\a", "b": "\b"}


@dataclass(frozen=True)
class Line:
    """A pattern and what it says about `filter`: a value, `false`, `true`, or None for unspecified (`!filter`)."""

    pattern: Pattern
    filter: str | None


class Scope:
    """Immutable. Two scopes with one `key` give the same answers."""

    def __init__(
        self, parent: Scope | None, path: str, blob: str, lines: Sequence[Line], macros: Mapping[str, str | None]
    ) -> None:
        self.key: tuple[str, ...] = (*(parent.key if parent else ()), path, blob)
        self.macros = macros
        self._parent = parent
        self._start = len(path) + 1 if path else 0
        self._lines = lines

    def gives_to_lfs(self, path: str) -> bool:
        """`path` is below this folder, relative to the top of the tree."""
        return self._filter(path) == "lfs"

    def _filter(self, path: str) -> str | None:
        below = path[self._start :]
        for line in reversed(self._lines):
            if line.pattern.matches(below):
                return line.filter
        return self._parent._filter(path) if self._parent else None


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
            macros: dict[str, str | None] = dict(parent.macros) if parent else {"binary": None}
            lines = parse_lines(text, macros, define=parent is None)
            self._scopes[key] = Scope(parent, path, blob, lines, macros)
        return self._scopes[key]


def parse_lines(text: bytes, macros: dict[str, str | None], *, define: bool) -> list[Line]:
    """The lines that say something about `filter`. `macros` maps a macro's name to what it says about it; with `define`
    the text's own macros are added. A macro that says nothing is not in the map, except for the built-in `binary`."""
    lines = []
    for raw in os.fsdecode(text).split("\n"):
        word, rest = _split(raw.strip(" \t\r"))
        if not word or word.startswith(("#", "!")):
            continue
        said = _filter_of(rest.split(), macros)
        if word.startswith(_MACRO):
            if define and said:
                macros[word.removeprefix(_MACRO)] = said[0]
        elif said:
            lines.append(Line(Pattern(word, attributes=True), said[0]))
    return lines


def _filter_of(words: list[str], macros: Mapping[str, str | None]) -> tuple[str | None] | None:
    """What the attributes say about `filter`, in a tuple; None when they do not mention it."""
    said: tuple[str | None] | None = None
    for word in words:
        name, equals, value = word.partition("=")
        if name == "filter":
            said = (value if equals else "true",)
        elif word == "-filter":
            said = ("false",)
        elif word == "!filter":
            said = (None,)
        elif word in macros and macros[word] is not None:
            said = (macros[word],)
        elif word.startswith("!") and macros.get(word[1:]) is not None:
            said = (None,)
    return said


def _split(line: str) -> tuple[str, str]:
    """The pattern, unquoted, and the attributes."""
    if not line.startswith('"'):
        word, _, rest = line.replace("\t", " ").partition(" ")
        return word, rest
    word = ""
    place = 1
    while place < len(line) and line[place] != '"':
        if line[place] == "\\" and line[place + 1 : place + 4].isdigit():
            word += os.fsdecode(bytes([int(line[place + 1 : place + 4], 8) & 255]))
            place += 4
        elif line[place] == "\\":
            word += _ESCAPES.get(line[place + 1 : place + 2], line[place + 1 : place + 2])
            place += 2
        else:
            word += line[place]
            place += 1
    return word, line[place + 1 :]
