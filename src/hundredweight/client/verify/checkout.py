"""Whether the work tree is what the commit says, without reading what Git's index knows to be unchanged.

Git's index keeps size and times of each file as they were when it last matched; a file that still has them is trusted,
as Git itself
does. Others are read. `full` reads every weight file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

from hundredweight.base.sizes import format_size
from hundredweight.client.verify.findings import Finding, Severity, command
from hundredweight.formats.names import is_weight_file
from hundredweight.git.patterns import PathFilter, split_list
from hundredweight.git.scan import diff_index
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.client.verify.subject import Subject
    from hundredweight.protocol.pointer import Pointer


def check_checkout(subject: Subject, *, full: bool) -> Iterator[Finding]:
    """Files of the work tree that are not as committed. Raises `GitError`, `ScanError`, `OSError`."""
    config = subject.workspace.git_config
    if subject.pointers and not (config.get("filter.lfs.process") or config.get("filter.lfs.clean")):
        # First: without it the commands that mend the others do nothing.
        text = "Git LFS is not set up in this clone: checkouts leave pointers, and what is added lands in Git itself"
        yield Finding("checkout", "no-filter", text, mend="git lfs install --local")
    git = subject.git
    staged = {change.path for change in diff_index(git, subject.commit, cached=True)}
    doubtful = dict.fromkeys(git.fields("diff-files", "--name-only", "--no-renames", "-z"))
    left_out = _left_out(subject)
    for path in sorted(staged):
        yield _staged(subject, path)
    for path, pointer in subject.pointers.items():
        if path not in staged and path not in left_out:
            yield from _weights(subject, path, pointer, full or path in doubtful)
    plain = [path for path in doubtful if path not in subject.pointers and path not in staged and path not in left_out]
    yield from _plain(subject, plain)
    yield from _unknown(subject)


def _left_out(subject: Subject) -> set[str]:
    """What the user does not want here: a sparse checkout, and lfs.fetchinclude and lfs.fetchexclude."""
    listed = (line.partition(" ") for line in subject.git.fields("ls-files", "-t", "-z"))
    absent = {path for tag, _, path in listed if tag == "S"}
    config = subject.workspace.config
    allowed = PathFilter(split_list(config.get("lfs.fetchinclude")), split_list(config.get("lfs.fetchexclude")))
    return absent | {path for path in subject.pointers if not allowed.allows(path)}


def _weights(subject: Subject, path: str, pointer: Pointer, read: bool) -> Iterator[Finding]:
    full = os.path.join(subject.workspace.repository.work_tree, path)
    try:
        info = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        yield _changed(path, "is missing in the work tree")
        return
    if not stat.S_ISREG(info.st_mode):
        yield _changed(path, "is no regular file in the work tree")
        return
    if 0 < info.st_size < CUTOFF:
        with open(full, "rb") as file:
            found = try_parse(file.read())
        if found is not None and found.oid == pointer.oid:
            text = f"is still a pointer: its {format_size(pointer.size)} were not downloaded"
            yield Finding("checkout", "pointer", text, path, command("git", "lfs", "pull", f"--include={path}"))
            return
    # What an extension changed on its way into Git LFS has another size there, and is known by the hash before it.
    wanted = pointer.extensions[0].oid if pointer.extensions else pointer.oid
    if info.st_size != pointer.size and not pointer.extensions:
        sizes = f"{format_size(info.st_size)}, not {format_size(pointer.size)}"
        if format_size(info.st_size) == format_size(pointer.size):
            sizes = f"{info.st_size:,} bytes, not {pointer.size:,}"
        yield _changed(path, f"differs from the commit: it has {sizes}")
    elif read and _oid(full) != wanted:
        yield _changed(path, "differs from the commit: its bytes are others")


def _oid(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changed(path: str, text: str, severity: Severity = Severity.ERROR) -> Finding:
    return Finding("checkout", "differs", text, path, command("git", "restore", "--", path), severity)


def _staged(subject: Subject, path: str) -> Finding:
    mend = command("git", "restore", "--staged", "--worktree", f"--source={subject.commit[:12]}", "--", path)
    severity = Severity.ERROR if _matters(subject, path) else Severity.WARNING
    return Finding("checkout", "staged", "differs from the commit: a change is staged", path, mend, severity)


def _matters(subject: Subject, path: str) -> bool:
    """Weights and data; code that somebody works on is only worth a warning."""
    if path in subject.pointers or is_weight_file(path) or subject.rules.is_tracked(path):
        return True
    return bool(subject.settings.data) and PathFilter(subject.settings.data).allows(path)


def _plain(subject: Subject, paths: Iterable[str]) -> Iterator[Finding]:
    """Files of Git itself whose times or sizes are others: looked at once more, by content."""
    top = subject.workspace.repository.work_tree
    blobs = {entry.path: entry.blob for entry in subject.entries if entry.is_regular}
    there = []
    for path in paths:
        if os.path.isfile(os.path.join(top, path)) and not os.path.islink(os.path.join(top, path)):
            there.append(path)
        elif path in blobs:
            yield _changed(path, "is missing in the work tree", _severity(subject, path))
    lines = [path for path in there if "\n" not in path]
    stdin = b"".join(os.fsencode(path) + b"\n" for path in lines)
    names = subject.git.text("hash-object", "--stdin-paths", stdin=stdin).split() if lines else []
    found = dict(zip(lines, names, strict=True))
    for path in there:
        name = found.get(path) or subject.git.text("hash-object", "--", path)
        if name != blobs.get(path, name):
            yield _changed(path, "differs from the commit", _severity(subject, path))


def _severity(subject: Subject, path: str) -> Severity:
    return Severity.ERROR if _matters(subject, path) else Severity.WARNING


def _unknown(subject: Subject) -> Iterator[Finding]:
    """Weights that were never added."""
    for path in subject.git.fields("ls-files", "-z", "--others", "--exclude-standard"):
        if is_weight_file(path):
            text = "are weights that Git does not know: nobody else has them"
            yield Finding("checkout", "not-added", text, path, command("git", "add", "--", path), Severity.WARNING)
