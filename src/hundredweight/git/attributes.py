"""`.gitattributes`: its lines parsed and written, which patterns are tracked by LFS or lockable, and git's own verdict.

Two ways to ask. `check` lets git decide about given paths: exact, one process. `work_tree_patterns` and its kin read the files
themselves: what `track` lists and what hooks need when they walk many paths. Macros are expanded as git does: defined
in the top-level file, in info/attributes and in the user's and system's files only.
"""

from __future__ import annotations

import os

from hundredweight.git.patterns import Pattern
from hundredweight.git.quoting import unquote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hundredweight.git.config import Config
    from hundredweight.git.repository import Repository
    from hundredweight.git.run import Git

    Value = str | bool | None
    """of an attribute: True set, False unset (`-name`), None unspecified (`!name`), or a text"""

FILE_NAME = ".gitattributes"
FILTER = "filter"
LOCKABLE = "lockable"
TRACKED_BY_LFS = "filter=lfs diff=lfs merge=lfs -text"
_MACRO = "[attr]"
_BINARY = (("diff", False), ("merge", False), ("text", False))


class AttributeLine:
    """One line: `pattern` (unquoted) or, when `is_macro`, the macro's name, and its (name, value) pairs in order."""

    __slots__ = ("is_macro", "pattern", "values")

    def __init__(self, pattern: str, values: list[tuple[str, Value]], is_macro: bool = False) -> None:
        self.pattern = pattern
        self.values = values
        self.is_macro = is_macro


class AttributePattern:
    """A line whose pattern says something about LFS, or may through a macro. `source` names its file for people, `folder` is
    where that file stands below the work tree (empty: the top), `line_ending` how its lines end (empty when it has none).

    `filter` and `lockable` are what the line alone says, its macros expanded; None where it does not mention them. What
    holds for a path takes all lines: `AttributeRules`.
    """

    __slots__ = ("_pattern", "filter", "folder", "line_ending", "lockable", "source", "values")

    def __init__(
        self,
        text: str,
        folder: str = "",
        source: str = "",
        line_ending: str = "",
        values: Iterable[tuple[str, Value]] = (),
        macros: Macros | None = None,
    ) -> None:
        self._pattern = Pattern(text, attributes=True)
        self.folder = folder
        self.source = source
        self.line_ending = line_ending
        self.values = list(values)
        said = dict(macros.expand(self.values) if macros is not None else self.values)
        self.filter = _as_text(said[FILTER]) if FILTER in said else None
        self.lockable = bool(said[LOCKABLE]) if LOCKABLE in said else None

    @property
    def text(self) -> str:
        """The pattern as it stands in its file."""
        return self._pattern.text

    @property
    def is_tracked(self) -> bool:
        return self.filter == "lfs"

    @property
    def is_listed(self) -> bool:
        """Whether `git lfs track` shows it: as tracked, lockable or excluded."""
        return self.filter is not None or bool(self.lockable)

    @property
    def path(self) -> str:
        """The pattern as people see it from the top of the work tree."""
        return join_pattern(self.folder, self.text)

    def matches(self, path: str) -> bool:
        """`path` is relative to the top of the work tree."""
        if not self.folder:
            return self._pattern.matches(path)
        below = self.folder + "/"
        return path.startswith(below) and self._pattern.matches(path[len(below) :])


class AttributeRules:
    """What holds for a path, as git decides it: `patterns` are ordered from the strongest to the weakest, and the first that
    matches and mentions an attribute decides it. A macro brings its attributes only where it is what decides itself."""

    def __init__(self, patterns: Iterable[AttributePattern], macros: Macros) -> None:
        self._patterns = list(patterns)
        self._macros = macros

    @property
    def any_lockable(self) -> bool:
        return any(p.lockable for p in self._patterns)

    def is_tracked(self, path: str) -> bool:
        return self._verdict(path).get(FILTER) == "lfs"

    def has_filter(self, path: str) -> bool:
        """Whether anything is said of the path's filter, and be it that it has none."""
        return FILTER in self._verdict(path)

    def is_lockable(self, path: str) -> bool:
        return self._verdict(path).get(LOCKABLE) is True

    def _verdict(self, path: str) -> dict[str, Value]:
        verdict: dict[str, Value] = {}
        for pattern in self._patterns:
            if pattern.matches(path):
                self._macros.fill(verdict, pattern.values)
                if FILTER in verdict and LOCKABLE in verdict:
                    break
        return verdict


class Macros:
    """Macro attributes by name. `read` the files that may define them, the weakest first, then `expand`."""

    def __init__(self) -> None:
        self._known: dict[str, list[tuple[str, Value]]] = {"binary": list(_BINARY)}

    def read(self, lines: Iterable[AttributeLine]) -> None:
        for line in lines:
            if line.is_macro:
                self._known[line.pattern] = line.values

    def concerns_lfs(self, values: Iterable[tuple[str, Value]]) -> bool:
        """Whether one of the names is about LFS, or is a macro that may be."""
        return any(name in (FILTER, LOCKABLE) or (name in self._known and name != "binary") for name, _ in values)

    def fill(self, verdict: dict[str, Value], values: list[tuple[str, Value]]) -> None:
        """Add to `verdict` what it does not have yet, a macro's own attributes where the macro gets set."""
        for name, value in reversed(values):
            if name not in verdict:
                verdict[name] = value
                if value is True and name in self._known:
                    self.fill(verdict, self._known[name])

    def expand(self, values: Iterable[tuple[str, Value]], depth: int = 0) -> Iterator[tuple[str, Value]]:
        """The values of one line with each macro's own before it, in the order in which later ones win; an unspecified macro
        is taken as a mention of each of its attributes, for people who look for what excludes a file."""
        for name, value in values:
            if name in self._known and depth < 16 and (value is True or value is None):
                inner = self._known[name]
                yield from self.expand(inner if value else [(key, None) for key, _ in inner], depth + 1)
            yield name, value


def parse(data: bytes) -> list[AttributeLine]:
    """The lines of an attributes file that say something; malformed ones are passed over, as git does."""
    lines = []
    for raw in os.fsdecode(data).split("\n"):
        text = raw.strip()
        if not text or text.startswith("#"):
            continue
        head, rest = _take_pattern(text)
        if head is not None:
            is_macro = head.startswith(_MACRO) and not text.startswith('"')
            name = head[len(_MACRO) :].strip() if is_macro else head
            lines.append(AttributeLine(name, [_parse_value(word) for word in rest.split()], is_macro))
    return lines


def line_ending(data: bytes) -> str:
    """How the file's lines mostly end: LF, CRLF, or empty when it has no line end at all."""
    windows = data.count(b"\r\n")
    unix = data.count(b"\n") - windows
    return "\r\n" if windows > unix else "\n" if unix else ""


def _take_pattern(text: str) -> tuple[str | None, str]:
    if text.startswith('"'):
        return unquote(text)
    head, _, rest = text.replace("\t", " ").partition(" ")
    if head == _MACRO:
        name, _, rest = rest.strip().partition(" ")
        return _MACRO + name, rest
    return head, rest


def _parse_value(word: str) -> tuple[str, Value]:
    if word[0] == "-":
        return word[1:], False
    if word[0] == "!":
        return word[1:], None
    name, equals, value = word.partition("=")
    return (name, value) if equals else (name, True)


def lfs_patterns(data: bytes, folder: str, source: str, macros: Macros) -> list[AttributePattern]:
    """The lines of one file that concern LFS, in the file's order."""
    ending = line_ending(data)
    return [
        AttributePattern(line.pattern, folder, source, ending, line.values, macros)
        for line in parse(data)
        if not line.is_macro and macros.concerns_lfs(line.values)
    ]


def rules_of(files: Iterable[tuple[str, bytes]]) -> AttributeRules:
    """What the `.gitattributes` files of one tree say together; `files` are the path and the content of each."""
    macros = Macros()
    patterns: list[AttributePattern] = []
    for path, data in sorted(files, key=lambda file: file[0].count("/")):
        folder = os.path.dirname(path)
        if not folder:
            macros.read(parse(data))
        patterns += lfs_patterns(data, folder, path, macros)
    return AttributeRules(reversed(patterns), macros)


def _as_text(value: Value) -> str:
    return value if isinstance(value, str) else "true" if value else ""


class _Files:
    """The contents of all attribute files of a place, and their macros."""

    def __init__(self, repository: Repository, config: Config, variables: Mapping[str, str]) -> None:
        outer = [user_file(config, variables), system_file(repository.git, variables)]
        self.outer = [(path, "", path) for path in outer]
        self.inner = _work_tree_files(repository)
        self._contents = {path: _read(path) for path, _, _ in (*self.outer, *self.inner)}
        self.macros = Macros()
        for path, folder, _ in (*reversed(self.outer), *reversed(self.inner)):
            if not folder:
                self.macros.read(parse(self._contents[path]))

    def patterns(self, files: Iterable[tuple[str, str, str]]) -> list[list[AttributePattern]]:
        """Per file."""
        return [lfs_patterns(self._contents[path], folder, source, self.macros) for path, folder, source in files]


def work_tree_patterns(repository: Repository, config: Config, variables: Mapping[str, str]) -> list[AttributePattern]:
    """Of info/attributes and every .gitattributes in the work tree: files by length of their paths, the longest first,
    each in its own order. The user's and system's files give macros only."""
    files = _Files(repository, config, variables)
    return [pattern for patterns in files.patterns(files.inner) for pattern in patterns]


def known_patterns(repository: Repository, config: Config, variables: Mapping[str, str]) -> list[AttributePattern]:
    """`work_tree_patterns`, then those of the user's, then of the system's file."""
    files = _Files(repository, config, variables)
    return [pattern for patterns in files.patterns([*files.inner, *files.outer]) for pattern in patterns]


def rules(repository: Repository, config: Config, variables: Mapping[str, str]) -> AttributeRules:
    """All of them in git's precedence: info/attributes, then the deepest file first, then the user's and the system's; in
    each the last line first."""
    files = _Files(repository, config, variables)
    info = [file for file in files.inner if not file[1] and file[2] != FILE_NAME]
    deepest = sorted((file for file in files.inner if file not in info), key=lambda file: -len(file[1]))
    by_file = files.patterns([*info, *deepest, *files.outer])
    return AttributeRules([pattern for patterns in by_file for pattern in reversed(patterns)], files.macros)


def _work_tree_files(repository: Repository) -> list[tuple[str, str, str]]:
    """(path, folder below the work tree, name for people), the longest path first."""
    top = repository.work_tree
    info = os.path.join(repository.common_dir, "info", "attributes")
    files = [(info, "", os.path.relpath(info, top))] if os.path.isfile(info) else []
    listed = repository.root_git.fields(
        "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f":(glob)**/{FILE_NAME}"
    )
    files += [(os.path.join(top, name), os.path.dirname(name), name) for name in dict.fromkeys(listed)]
    files.sort(key=lambda file: -len(file[0]))
    return files


def user_file(config: Config, variables: Mapping[str, str]) -> str:
    """core.attributesFile, by default git/attributes in the user's configuration folder; empty without a home."""
    home = variables.get("HOME", "")
    chosen = config.get("core.attributesfile")
    if chosen:
        return os.path.join(home, chosen[2:]) if chosen.startswith("~/") else chosen
    folder = variables.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    return os.path.join(folder, "git", "attributes") if folder else ""


def system_file(git: Git, variables: Mapping[str, str]) -> str:
    """As git says (2.42 and newer), else PREFIX/etc/gitattributes; empty when git shall not read it."""
    said = git.run("var", "GIT_ATTR_SYSTEM")
    if said.code == 0:
        return os.fsdecode(said.out).split("\n", 1)[0]
    return os.path.join(variables.get("PREFIX") or "/", "etc", "gitattributes")


def _read(path: str) -> bytes:
    """The content; empty when there is no such file (git takes that as no attributes) or it is a folder."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return b""


def join_pattern(folder: str, pattern: str) -> str:
    """A pattern of `folder`'s file as one of the top-level file, as far as people read it."""
    return os.path.normpath(f"{folder}/{pattern}") if folder else pattern


def check(git: Git, paths: Iterable[str], *names: str) -> Iterator[tuple[str, str, str]]:
    """git's own verdict: (path, name, value) for each path and attribute, value `set`, `unset`, `unspecified` or a text."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if not stdin:
        return
    fields = git.fields("check-attr", "-z", "--stdin", *names, stdin=stdin)
    yield from zip(fields[0::3], fields[1::3], fields[2::3], strict=True)


def tracked_paths(git: Git, paths: Iterable[str]) -> list[str]:
    """Those of `paths` that git filters through LFS."""
    return [path for path, _, value in check(git, paths, FILTER) if value == "lfs"]


def escape_pattern(pattern: str) -> str:
    """As it must stand in the file: white space and `#` cannot stand there as such."""
    return _escape_blanks(pattern.replace("\\", "\\\\"))


def escape_file_name(name: str) -> str:
    """A pattern that matches just this name."""
    escaped = name.replace("\\", "\\\\")
    for special in "*[]?":
        escaped = escaped.replace(special, "\\" + special)
    return _escape_blanks(escaped)


def _escape_blanks(text: str) -> str:
    return text.replace("#", "\\#").replace(" ", "[[:space:]]")


def unescape_pattern(text: str) -> str:
    """What `escape_pattern` was given."""
    return text.replace("[[:space:]]", " ").replace("\\#", "#").replace("\\\\", "\\")
