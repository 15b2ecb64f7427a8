"""`git lfs track` and `untrack`: which patterns of `.gitattributes` go through LFS.

Plan, then execute: `plan_track` decides what each pattern means for the `.gitattributes` of one folder, `execute` writes it
and touches the matching files, so that git looks at them again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hundredweight.base.files import write_file
from hundredweight.client.lockable import set_writable
from hundredweight.git import attributes
from hundredweight.git.attributes import FILE_NAME, AttributePattern, join_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hundredweight.client.workspace import Workspace

_FORBIDDEN = (".git", ".lfs")


@dataclass(frozen=True)
class TrackOptions:
    """`lockable`: True sets it, False removes it, None leaves it. `file_names`: patterns are names, taken literally.
    `modify`: write `.gitattributes`. `touch`: change files (their times and permissions)."""

    lockable: bool | None = None
    file_names: bool = False
    modify: bool = True
    touch: bool = True


@dataclass
class Pattern:
    """What becomes of one pattern. `text` as given, `encoded` as it stands in the file."""

    text: str
    encoded: str
    supported: bool = False
    """it is there already, as wanted"""
    replaces: bool = False
    """a line of it is there, and is rewritten"""
    files: list[str] = field(default_factory=list)
    """files that git knows and that match, relative to the folder; of a replaced line none: they are tracked already"""
    forbidden: list[str] = field(default_factory=list)
    """those of them that must never be in LFS, for which the pattern is refused"""

    @property
    def shown(self) -> str:
        return attributes.unescape_pattern(self.encoded)


@dataclass
class TrackPlan:
    """`content` is the new file, None when it is not to be written. `read_only` and `writable` are paths below the work
    tree whose write permission changes."""

    folder: str
    patterns: list[Pattern]
    content: bytes | None
    read_only: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether something new was asked and all of it was forbidden."""
        fresh = [p for p in self.patterns if not p.supported and not p.replaces]
        return bool(fresh) and all(p.forbidden for p in fresh)


def known_patterns(workspace: Workspace) -> list[AttributePattern]:
    """Every pattern that `track` without arguments lists: the work tree's, the user's, the system's."""
    repository, config, variables = workspace.repository, workspace.git_config, workspace.variables
    return [p for p in attributes.known_patterns(repository, config, variables) if p.is_listed]


def plan_track(workspace: Workspace, texts: Iterable[str], options: TrackOptions) -> TrackPlan:
    """Decide for the current folder's `.gitattributes`. Changes nothing."""
    repository = workspace.repository
    prefix = repository.prefix.rstrip("/")
    folder = os.path.join(repository.work_tree, prefix)
    found = attributes.work_tree_patterns(repository, workspace.git_config, workspace.variables)
    known = [pattern for pattern in found if pattern.is_listed]
    patterns = [_plan_pattern(text, prefix, known, options) for text in texts]
    path = os.path.join(folder, FILE_NAME)
    before = _read(path)
    ending = attributes.line_ending(before) if before else ""
    ending = ending or _line_ending_of(known) or _usual_line_ending(workspace)
    lines = {p.text: _line(p.encoded, options.lockable is True) for p in patterns if not p.supported}
    kept, replaced = _merge(before, lines if options.modify else {})
    plan = TrackPlan(folder, patterns, None)
    listed = _Listed(workspace, folder)
    for pattern in patterns:
        pattern.replaces = pattern.text in replaced
        if not pattern.supported and not pattern.replaces:
            pattern.files = listed.matching(pattern.encoded)
            pattern.forbidden = [name for name in pattern.files if os.path.basename(name).startswith(_FORBIDDEN)]
    new = [lines[p.text] for p in patterns if p.text in lines and not p.replaces and not p.forbidden]
    if options.modify and lines:
        plan.content = os.fsencode("".join(line + ending for line in [*kept, *dict.fromkeys(new)]))
    _plan_permissions(workspace, plan, prefix, options)
    return plan


def execute(plan: TrackPlan, options: TrackOptions, report: Callable[[str, OSError], None]) -> None:
    """Write the file, touch what matches, set permissions. `report` hears of each file that could not be changed; the
    others are done all the same. Raises `WriteError` when `.gitattributes` cannot be written."""
    if plan.content is not None:
        write_file(os.path.realpath(os.path.join(plan.folder, FILE_NAME)), plan.content)
    if not options.touch:
        return
    for pattern in plan.patterns:
        for name in () if pattern.forbidden else pattern.files:
            try:
                os.utime(os.path.join(plan.folder, name))
            except OSError as error:
                report(name, error)
    for path, writable in [*((p, False) for p in plan.read_only), *((p, True) for p in plan.writable)]:
        try:
            set_writable(path, writable)
        except OSError as error:
            report(path, error)


def untrack(workspace: Workspace, texts: Iterable[str]) -> list[str]:
    """Remove the patterns' lines from the current folder's `.gitattributes`; gives the patterns that were removed."""
    repository = workspace.repository
    path = os.path.join(repository.work_tree, repository.prefix, FILE_NAME)
    before = _read(path)
    if not before:
        return []
    wanted = {attributes.escape_pattern(_without_dot(text)) for text in texts}
    removed: list[str] = []
    kept = []
    for line in map(os.fsdecode, before.splitlines(keepends=True)):
        words = line.split()
        if "filter=lfs" in line and words and _without_dot(words[0]) in wanted:
            removed.append(attributes.unescape_pattern(words[0]))
        else:
            kept.append(line)
    if removed:
        write_file(os.path.realpath(path), os.fsencode("".join(kept)))
    return removed


def _plan_pattern(text: str, prefix: str, known: list[AttributePattern], options: TrackOptions) -> Pattern:
    text = _without_dot(text)
    encoded = attributes.escape_file_name(text) if options.file_names else attributes.escape_pattern(text)
    pattern = Pattern(encoded if options.file_names else text, encoded)
    whole = join_pattern(prefix, attributes.unescape_pattern(encoded))
    for one in known:
        same = attributes.unescape_pattern(one.path) == whole
        if same and options.modify and (options.lockable is None or options.lockable == bool(one.lockable)):
            pattern.supported = True
    return pattern


def _merge(before: bytes, lines: dict[str, str]) -> tuple[list[str], set[str]]:
    """The file's lines with those of the given patterns rewritten, and the patterns found."""
    kept = []
    found = set()
    by_encoded = {attributes.unescape_pattern(line.split(" ", 1)[0]): text for text, line in lines.items()}
    for line in os.fsdecode(before).removesuffix("\n").split("\n") if before else ():
        words = line.split()
        text = by_encoded.get(attributes.unescape_pattern(words[0])) if words else None
        if text is None:
            kept.append(line.rstrip("\r"))
        elif text not in found:
            found.add(text)
            kept.append(lines[text])
    return kept, found


def _plan_permissions(workspace: Workspace, plan: TrackPlan, prefix: str, options: TrackOptions) -> None:
    """Files of patterns that became lockable lose their write permission; those that are no longer get it back."""
    chosen = [AttributePattern(p.encoded, prefix) for p in plan.patterns if not p.supported and not p.forbidden]
    if not chosen:
        return
    top = workspace.repository.work_tree
    own = _own_locks(workspace) if options.lockable else set()
    for name in workspace.git.fields("ls-files", "-z", "--cached"):
        if any(pattern.matches(name) for pattern in chosen):
            target = plan.read_only if options.lockable and name not in own else plan.writable
            target.append(os.path.join(top, name))


def _own_locks(workspace: Workspace) -> set[str]:
    from hundredweight.client.lock_cache import LockCache  # noqa: PLC0415 - json and more, 15 ms, for lockable patterns

    return LockCache(workspace.lfs_folder).own_paths()


class _Listed:
    """What git knows below a folder, listed when first needed."""

    def __init__(self, workspace: Workspace, folder: str) -> None:
        self._git = workspace.git.at(folder, keep_repository=True)
        self._names: list[str] | None = None

    def matching(self, encoded: str) -> list[str]:
        if self._names is None:
            self._names = self._git.fields("ls-files", "-z", "--cached")
        pattern = AttributePattern(encoded)
        return [name for name in self._names if pattern.matches(name)]


def _line(encoded: str, lockable: bool) -> str:
    return f"{encoded} {attributes.TRACKED_BY_LFS}" + (f" {attributes.LOCKABLE}" if lockable else "")


def _line_ending_of(known: list[AttributePattern]) -> str:
    return next((p.line_ending for p in known if p.source == FILE_NAME), "")


def _usual_line_ending(workspace: Workspace) -> str:
    return "\r\n" if workspace.git_config.get("core.autocrlf").lower() in ("true", "t", "1") else "\n"


def _without_dot(text: str) -> str:
    return text.removeprefix("./")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
