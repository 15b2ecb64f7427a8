"""Git's path patterns (gitignore(5), gitattributes(5)) and git-lfs's include/exclude filters made of them.

Matching is git's own wildmatch, byte for byte: `*` and `?` never cross a slash, `**/`, `/**/` and `/**` span folders, `[...]`
classes, a backslash takes the next character literally; a malformed pattern matches nothing. Literal names and `*.ext`,
the usual ones, are matched by string comparison; the rest becomes a regular expression when it is first needed
(importing `re` costs a filter start 5 ms).
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDS_CASE = sys.platform in ("darwin", "win32")
"""Whether this system's file names usually ignore case; patterns then do too, as in git-lfs."""
_SPECIAL = frozenset("*?[\\")
_ANY_FOLDERS = b"(?:.*/)?"
_CACHE_SIZE = 10_000


class Pattern:
    """One pattern. Two dialects:

    ignore (default): git's rules for .gitignore: a pattern without a slash (but at its end) applies at any depth; a pattern
    that names a folder covers everything below it. A leading `!` has no meaning here.
    attributes: git's rules for .gitattributes: a pattern without a slash is compared with the file's own name; a folder
    does not cover what is in it; a pattern ending in a slash matches nothing.
    """

    __slots__ = ("_match", "attributes", "ignore_case", "text")

    def __init__(self, text: str, *, attributes: bool = False, ignore_case: bool = FOLDS_CASE) -> None:
        self.text = text
        self.attributes = attributes
        self.ignore_case = ignore_case
        self._match: Callable[[str], bool] | None = None

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    def matches(self, path: str) -> bool:
        """`path` is relative to where the pattern stands (usually the top of the work tree), with forward slashes."""
        if self._match is None:
            self._match = self._compile()
        return self._match(path)

    def _compile(self) -> Callable[[str], bool]:
        folder_only = self.text.endswith("/")
        text = self.text.removesuffix("/")
        if not text or (folder_only and self.attributes):
            return _never
        simple = None if self.ignore_case else _simple(text, folder_only, self.attributes)
        return simple or self._expression(text, folder_only)

    def _expression(self, text: str, folder_only: bool) -> Callable[[str], bool]:
        body = translate(text.removeprefix("/"), self.ignore_case)
        if body is None:
            return _never
        import re  # noqa: PLC0415 - see the module's docstring

        head = b"" if "/" in text else _ANY_FOLDERS
        tail = b"" if self.attributes else b"/.*" if folder_only else b"(?:/.*)?"
        flags = re.DOTALL | re.IGNORECASE if self.ignore_case else re.DOTALL
        fullmatch = re.compile(head + body + tail, flags).fullmatch
        return lambda path: fullmatch(os.fsencode(path)) is not None


def _never(_path: str) -> bool:
    return False


def _simple(text: str, folder_only: bool, attributes: bool) -> Callable[[str], bool] | None:
    """A matcher by string comparison for `name`, `*end`, `start*` and `a/literal/path`; None where more is needed."""
    core = text.strip("*")
    stars = len(text) - len(core)
    if stars > 1 or not _SPECIAL.isdisjoint(core) or (stars and "/" in text):
        return None
    if attributes:
        return _simple_attributes(text, core)
    # Each component is looked at with the slashes around it, the file's own name only where a file may match.
    end = "" if folder_only else "/"
    if "/" in text:
        anchored = "/" + text.removeprefix("/") + "/"
        return lambda path: f"/{path}{end}".startswith(anchored)
    part = ("" if text[0] == "*" else "/") + core + ("" if text[-1] == "*" else "/")
    if text[-1] == "*" and folder_only:
        return None
    return lambda path: part in f"/{path}{end}"


def _simple_attributes(text: str, core: str) -> Callable[[str], bool]:
    if "/" in text:
        return text.removeprefix("/").__eq__
    if text[0] == "*":
        return lambda path: path.endswith(core)
    if text[-1] == "*":
        return lambda path: path.startswith(core, path.rfind("/") + 1)
    below = "/" + text
    return lambda path: path == text or path.endswith(below)


class PathFilter:
    """git-lfs's path filter: some include pattern matches (or there are none), and no exclude pattern does.

    With `default=False` a path that no include pattern names is refused even when there are none.
    `allows` remembers its answers; not thread-safe in the sense of doing some work twice, never of a wrong answer.
    """

    __slots__ = ("_cache", "_default", "exclude", "include")

    def __init__(
        self,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        *,
        attributes: bool = False,
        default: bool = True,
    ) -> None:
        self.include = [Pattern(text, attributes=attributes) for text in include]
        self.exclude = [Pattern(text, attributes=attributes) for text in exclude]
        self._default = default
        self._cache: dict[str, bool] = {}

    @property
    def allows_everything(self) -> bool:
        return self._default and not self.include and not self.exclude

    def allows(self, path: str) -> bool:
        """`path` is relative to the top of the work tree."""
        if not self.include and not self.exclude:
            return self._default
        known = self._cache.get(path)
        if known is None:
            known = self._decide(path)
            if len(self._cache) < _CACHE_SIZE:
                self._cache[path] = known
        return known

    def _decide(self, path: str) -> bool:
        if self.include:
            if not any(pattern.matches(path) for pattern in self.include):
                return False
        elif not self._default:
            return False
        return not any(pattern.matches(path) for pattern in self.exclude)


def split_list(text: str) -> list[str]:
    """The patterns of a comma-separated list (lfs.fetchinclude, -I, -X): trimmed, one slash at the end dropped."""
    patterns = []
    for part in text.split(","):
        pattern = part.strip()
        if len(pattern) > 1 and pattern[-1] in "/\\":
            pattern = pattern[:-1]
        if pattern:
            patterns.append(pattern)
    return patterns


def translate(text: str, ignore_case: bool = False) -> bytes | None:
    """The pattern as the source of a regular expression over the encoded path; None where git would never match it.

    Within one path component all but the last `*` are atomic groups: the shortest match is as good as any other, and
    hostile patterns (`*a*a*a*b`) cost no more than linear time.
    """
    components = _components(os.fsencode(text), ignore_case)
    if components is None:
        return None
    out = bytearray()
    for number, pieces in enumerate(components):
        last = number == len(components) - 1
        if len(pieces) > 2 and not any(pieces):
            # `**` bounded by slashes: any number of folders, or at the end anything.
            out += b".*" if last else _ANY_FOLDERS
            continue
        out += pieces[0]
        if len(pieces) > 1:
            out += b"".join(b"(?>[^/]*?" + piece + b")" for piece in pieces[1:-1] if piece) + b"[^/]*" + pieces[-1]
        if not last:
            out += b"/"
    return bytes(out)


def _components(text: bytes, ignore_case: bool) -> list[list[bytes]] | None:
    """Per component between slashes, the regular expressions between its stars (each matches a fixed number of bytes).
    None when malformed. A slash inside brackets does not end a component."""
    components = [[b""]]
    place = 0
    while place < len(text):
        char = text[place : place + 1]
        place += 1
        if char == b"/":
            components.append([b""])
        elif char == b"*":
            components[-1].append(b"")
        elif char == b"?":
            components[-1][-1] += b"[^/]"
        elif char == b"[":
            group = _bracket(text, place, ignore_case)
            if group is None:
                return None
            expression, place = group
            components[-1][-1] += expression
        elif char == b"\\":
            if place == len(text):
                return None
            components[-1][-1] += _literal(text[place])
            place += 1
        else:
            components[-1][-1] += _literal(char[0])
    return components


def _literal(byte: int) -> bytes:
    return b"\\x%02x" % byte


_CLASSES: dict[bytes, Callable[[int], bool]] = {
    b"alnum": lambda c: chr(c).isalnum(),
    b"alpha": lambda c: chr(c).isalpha(),
    b"blank": lambda c: c in b" \t",
    b"cntrl": lambda c: c < 32 or c == 127,
    b"digit": lambda c: chr(c).isdigit(),
    b"graph": lambda c: 32 < c < 127,
    b"lower": lambda c: chr(c).islower(),
    b"print": lambda c: 32 <= c < 127,
    b"punct": lambda c: 32 < c < 127 and not chr(c).isalnum(),
    b"space": lambda c: c in b" \t\n\v\f\r",
    b"upper": lambda c: chr(c).isupper(),
    b"xdigit": lambda c: c in b"0123456789abcdefABCDEF",
}


def _bracket(part: bytes, start: int, ignore_case: bool) -> tuple[bytes, int] | None:
    """The group that opened just before `start`: its expression and where it ends. None when it is malformed.

    Git's rules (wildmatch.c): `!` or `^` negates, a first `]` is itself, ranges, `[:class:]` of ASCII, backslashes.
    """
    place = start
    negated = part[place : place + 1] in (b"!", b"^")
    place += negated
    members: set[int] = set()
    previous = 0
    first = True
    while first or part[place : place + 1] != b"]":
        first = False
        if place >= len(part):
            return None
        char = part[place]
        place += 1
        if char == 0x5C:
            if place >= len(part):
                return None
            char = part[place]
            place += 1
            members.add(char)
        elif char == 0x2D and previous and part[place : place + 1] not in (b"", b"]"):
            place += part[place] == 0x5C
            if place >= len(part):
                return None
            members.update(range(previous, part[place] + 1))
            place += 1
            char = 0
        elif char == 0x5B and part[place : place + 1] == b":":
            end = part.find(b"]", place + 1)
            if end < 0:
                return None
            if part[end - 1 : end] == b":" and end - 1 > place:
                test = _CLASSES.get(part[place + 1 : end - 1])
                if test is None:
                    return None
                members.update(c for c in range(128) if test(c))
                place = end + 1
                char = 0
            else:
                members.add(char)
        else:
            members.add(char)
        previous = char
    if ignore_case:
        members.update(ord(chr(c).swapcase()) for c in list(members) if c < 128)
    chosen = members ^ set(range(256)) if negated else members
    chosen.discard(0x2F)
    return _set(chosen), place + 1


def _set(members: set[int]) -> bytes:
    if not members:
        return b"(?!)"
    return b"[" + b"".join(_literal(c) for c in sorted(members)) + b"]"
