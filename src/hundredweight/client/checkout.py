"""`git lfs checkout`: put the content of local objects where the work tree has pointers or nothing. Downloads nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.base.quoting import quote
from hundredweight.base.trace import trace
from hundredweight.client.finished_files import settle
from hundredweight.client.worktree import ObjectAbsent, WorktreeWriter, copy_object
from hundredweight.git import index, refs
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import read_pointers, scan_tree, small_blobs
from hundredweight.protocol.pointer import CUTOFF, try_parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.base.progress import Meter
    from hundredweight.client.workspace import Workspace
    from hundredweight.client.worktree import Write
    from hundredweight.git.scan import PointerFile

STAGES = {"base": 1, "ours": 2, "theirs": 3}


class ConflictError(CwtError):
    """A conflict's side could not be written to a file. The message is git-lfs's."""

    exit_code = 2


def rooted_pattern(workspace: Workspace, cwd: str, text: str) -> str:
    """What the user typed in `cwd` as a pattern from the top of the work tree; a folder's name covers what is in it."""
    top = workspace.repository.work_tree
    here = os.path.realpath(cwd)
    full = os.path.realpath(text) if os.path.isabs(text) else os.path.join(here, text)
    if here == top and not os.path.isabs(text):
        pattern = text
    else:
        pattern = os.path.relpath(full, top)
        pattern = "./" if pattern == "." else pattern
    if os.path.isdir(os.path.join(here, text)) and not pattern.endswith("/"):
        pattern += "/"
    pattern = pattern.removeprefix("./")
    return pattern or "**"


def candidates(workspace: Workspace, patterns: Iterable[str]) -> list[PointerFile]:
    """The pointers that a checkout is about, those that match one of `patterns` (none: all), by path.

    They are those of the index, but for what a sparse checkout leaves out. Git before 2.42 cannot list a sparse index
    without unfolding it: there they are those of HEAD, as in git-lfs.
    """
    paths = PathFilter(patterns)
    if index.lists_sparsely(workspace.git):
        found = index.present_files(workspace.git, ":(top,attr:filter=lfs)")
        chosen = [(entry.blob, path) for path, entry in found.items() if paths.allows(path)]
        small = dict(small_blobs(workspace.git, chosen))
        return list(read_pointers(workspace.git, ((blob, path) for blob, path in chosen if blob in small)))
    if refs.current(workspace.git) is None:
        return []
    return list(scan_tree(workspace.git, "HEAD", paths))


def checkout(workspace: Workspace, files: list[PointerFile], meter: Meter) -> list[CwtError]:
    """Write the files, and refresh the index. Gives what went wrong, in the order of `files`."""
    for file in files:
        trace(f"filepathfilter: accepting {quote(file.path)}")
    meter.start("checkout", len(files), sum(file.pointer.size for file in files))

    def done(write: Write) -> None:
        meter.begin(write.path, write.pointer.size)
        meter.advance(write.path, write.pointer.size)
        meter.done(write.path)

    try:
        with WorktreeWriter(workspace, on_done=done) as writer:
            for file in files:
                writer.write(file.path, file.pointer)
            results = writer.finish()
        settle(workspace, results)
    finally:
        meter.finish()
    order = {file.path: number for number, file in enumerate(files)}
    results.sort(key=lambda write: order[write.path])
    return [write.error for write in results if write.error is not None]


def checkout_side(workspace: Workspace, path: str, side: str, target: str) -> None:
    """Write one side (`base`, `ours`, `theirs`) of the conflict in `path` to the file `target`, an absolute path, whatever is
    there. Raises `ConflictError`, `ObjectAbsent`, `CheckoutFailed`."""
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
    except OSError as error:
        raise ConflictError(f"Could not create path {quote(target)}: {error.strerror}") from error
    name = f":{STAGES[side]}:{path}"
    resolved = workspace.git.run("rev-parse", "--verify", "--quiet", name)
    if resolved.code:
        raise ConflictError(
            f"Could not checkout (are you not in the middle of a merge?): Git can't resolve ref: {quote(name)}"
        )
    blob = os.fsdecode(resolved.out).strip()
    size = workspace.git.text("cat-file", "-s", blob)
    pointer = try_parse(workspace.git.output("cat-file", "blob", blob)) if int(size) < CUTOFF else None
    if pointer is None:
        raise ConflictError(
            f"Could not find decoder pointer for object {quote(blob)}: Pointer file error: invalid header"
        )
    if not workspace.store.has(pointer.oid, pointer.size):
        raise ObjectAbsent(path)
    copy_object(workspace, pointer, target, target)
