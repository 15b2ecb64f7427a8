"""Running pointer extensions (`lfs.extension.*`): content passes through each one's program, and every step is named by its hash.

Cleaning runs the programs in order of priority; the pointer keeps, for each that changed something, the hash of what it was
given. Smudging runs them backwards and compares with those hashes, so that a wrong program or a changed key gives an error
and no wrong file. Steps go through temporary files in lfs/tmp: constant memory, and nothing is seen before it is checked.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, DamageError
from hundredweight.base.files import read_chunks
from hundredweight.base.ids import Oid
from hundredweight.client.ext import configured_extensions
from hundredweight.client.extensions import ExtensionUnavailable
from hundredweight.protocol.pointer import Extension, Pointer

if TYPE_CHECKING:
    from hundredweight.base.files import AtomicFile
    from hundredweight.client.workspace import Workspace

_MAX_WORDS = 4096


class ExtensionFailed(CwtError):
    """An extension's program could not be started, or ended with an error. `name` and `said` (its stderr) tell more."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(
            f"extension '{name}' failed with: {said}", hint=f"run 'git lfs ext list {name}' to see its commands"
        )
        self.name = name
        self.said = said


class ExtensionMismatch(DamageError):
    """What an extension gave, or was to be given, is not what the pointer says. `expected` and `got` are hashes."""

    def __init__(self, message: str, expected: str, got: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.got = got


def clean_through(workspace: Workspace, content: AtomicFile, oid: Oid, path: str) -> tuple[AtomicFile, Pointer]:
    """The object's content (uncommitted; the caller's from now on) and its pointer, for `content`, whose hash is `oid`, which is
    used up. Raises `ExtensionFailed`, `ExtensionUnavailable`."""
    passed: list[Extension] = []
    for extension in configured_extensions(workspace.config):
        try:
            result = _run(workspace, extension.name, extension.clean, content, path)
        finally:
            content.abort()
        after = _hash(result)
        if after != oid:
            passed.append(Extension(extension.name, len(passed), oid))
        content, oid = result, after
    return content, Pointer(oid, os.fstat(content.descriptor).st_size, tuple(passed))


def smudge_through(workspace: Workspace, pointer: Pointer, path: str) -> AtomicFile:
    """The file's content as a temporary file, at its beginning; the caller ends it. The object must be in the store. Raises
    `ExtensionUnavailable`, `ExtensionFailed`, `ExtensionMismatch`."""
    configured = {extension.name: extension for extension in configured_extensions(workspace.config)}
    for needed in pointer.extensions:
        if needed.name not in configured:
            raise ExtensionUnavailable(needed.name)
    content = _copy_object(workspace, pointer)
    for needed in reversed(pointer.extensions):
        try:
            result = _run(workspace, needed.name, configured[needed.name].smudge, content, path)
        finally:
            content.abort()
        content = result
        got = _hash(content)
        if got != needed.oid:
            content.abort()
            said = f"actual OID {got} for extension '{needed.name}' does not match expected {needed.oid}"
            raise ExtensionMismatch(said, needed.oid, got)
    os.lseek(content.descriptor, 0, os.SEEK_SET)
    return content


def _copy_object(workspace: Workspace, pointer: Pointer) -> AtomicFile:
    """A copy, hashed on the way: what a program reads must not be swapped or damaged."""
    content = workspace.store.writer()
    digest = hashlib.sha256()
    descriptor = workspace.store.open_content(pointer.oid)
    try:
        for piece in read_chunks(descriptor):
            digest.update(piece)
            content.write(piece)
    except BaseException:
        content.abort()
        raise
    finally:
        os.close(descriptor)
    if digest.hexdigest() != pointer.oid:
        content.abort()
        said = f"actual OID {digest.hexdigest()} during smudge does not match expected {pointer.oid}"
        raise ExtensionMismatch(said, pointer.oid, digest.hexdigest())
    return content


def _run(workspace: Workspace, name: str, command: str, content: AtomicFile, path: str) -> AtomicFile:
    """The program's output for `content`, which is read from its beginning. The command is split at blanks, no shell: a path
    can do nothing but be an argument."""
    words = [word.replace("%f", path) for word in command.split(" ")] if command.strip() else []
    if not words:
        raise ExtensionUnavailable(name)
    os.lseek(content.descriptor, 0, os.SEEK_SET)
    result = workspace.store.writer()
    try:
        done = subprocess.run(
            words,
            stdin=content.descriptor,
            stdout=result.descriptor,
            stderr=subprocess.PIPE,
            cwd=workspace.repository.work_tree or None,
            env=workspace.git.env,
            check=False,
        )
        if done.returncode:
            said = done.stderr[:_MAX_WORDS].decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise ExtensionFailed(name, said)
    except OSError as error:
        result.abort()
        raise ExtensionFailed(name, f"{words[0]}: {error.strerror}") from error
    except BaseException:
        result.abort()
        raise
    return result


def _hash(content: AtomicFile) -> Oid:
    os.lseek(content.descriptor, 0, os.SEEK_SET)
    digest = hashlib.sha256()
    for piece in read_chunks(content.descriptor):
        digest.update(piece)
    return Oid(digest.hexdigest())
