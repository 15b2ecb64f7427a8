"""Git configuration as git itself resolves it: one `git config --list -z`, then look-ups in memory.

Keys are lower-cased in section and variable, as git prints them; the subsection in the middle keeps its case.
Later values win; `all` gives every value in order. Per-URL keys follow git's urlmatch rules (git-config(1)).
"""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.git.run import Git

_TRUE = frozenset(("true", "yes", "on", "1"))
_FALSE = frozenset(("false", "no", "off", "0", ""))
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class BadConfigValue(CwtError):
    """A key's value is not of the type that the key wants."""

    def __init__(self, key: str, value: str, expected: str) -> None:
        super().__init__(
            f"bad {expected} value '{value}' for '{key}'", hint=f"run 'git config --edit' and mend '{key}'"
        )
        self.key = key
        self.value = value


class Config:
    """A list of (key, value) in git's order of precedence, the strongest last. Immutable."""

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for key, value in entries:
            self._values.setdefault(fold_key(key), []).append(value)
        # Settings per URL are looked up several times for each object that moves.
        self._found: dict[tuple[str, str], list[str]] = {}

    def below(self, other: Config) -> Config:
        """Self's values, then `other`'s on top."""
        return Config([*self.items(), *other.items()])

    def items(self) -> Iterator[tuple[str, str]]:
        for key, values in self._values.items():
            for value in values:
                yield key, value

    def get(self, key: str, default: str = "") -> str:
        values = self._values.get(fold_key(key))
        return values[-1] if values else default

    def all(self, key: str) -> list[str]:
        return list(self._values.get(fold_key(key), ()))

    def has(self, key: str) -> bool:
        return fold_key(key) in self._values

    def bool(self, key: str, default: bool = False) -> bool:
        """Git's booleans; a number is true unless 0; what is none of them gives `default`, as in git-lfs."""
        return parse_bool(self.get(key), default) if self.has(key) else default

    def int(self, key: str, default: int = 0) -> int:
        """Git's integers with k, m, g. Raises `BadConfigValue`."""
        text = self.get(key)
        if not text:
            return default
        number = parse_int(text)
        if number is None:
            raise BadConfigValue(key, text, "numeric")
        return number

    def subsections(self, section: str, variable: str = "") -> list[str]:
        """The distinct subsections of `section` (that have `variable`), in order of appearance."""
        known = self._found.get((section, variable))
        if known is None:
            found: dict[str, None] = {}
            for key in self._values:
                head, _, rest = key.partition(".")
                middle, dot, last = rest.rpartition(".")
                if head == section and dot and (not variable or last == variable.lower()):
                    found[middle] = None
            known = self._found[section, variable] = list(found)
        return list(known)

    def keys(self) -> list[str]:
        return list(self._values)


def fold_key(key: str) -> str:
    head, dot, rest = key.partition(".")
    middle, dot2, last = rest.rpartition(".")
    return f"{head.lower()}{dot}{middle}{dot2}{last.lower()}"


def parse_bool(text: str, default: bool) -> bool:
    lower = text.lower()
    if lower in _TRUE:
        return True
    if lower in _FALSE:
        return False
    number = parse_int(text)
    return default if number is None else number != 0


def parse_int(text: str) -> int | None:
    digits, unit = (text[:-1], _UNITS[text[-1].lower()]) if text[-1:].lower() in _UNITS else (text, 1)
    try:
        return int(digits) * unit
    except ValueError:
        return None


def parse_list(out: bytes) -> list[tuple[str, str]]:
    """Entries of `git config --list -z`: key LF value NUL; a key without LF is a bare boolean, true."""
    entries = []
    for item in os.fsdecode(out).split("\0"):
        if item:
            key, line_end, value = item.partition("\n")
            entries.append((key, value if line_end else "true"))
    return entries


def load(git: Git) -> Config:
    """Everything git sees from its folder: system, global, local, worktree, command, environment, includes."""
    return Config(parse_list(git.output("config", "--includes", "--list", "-z")))
