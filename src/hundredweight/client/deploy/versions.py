"""A version's folder: written under another name, every byte compared with what git and LFS call it, synced, made read-only, and
only then given its name. Copies or reflinks, never hard links: who writes into a version harms no other.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError, LocalError
from hundredweight.base.files import AtomicFile, WriteError, clone_file, copy_content, fsync_folder
from hundredweight.base.sizes import format_size
from hundredweight.client.damage import ObjectDamaged, PackedObjectDamaged
from hundredweight.client.deploy.store import UnsafePath
from hundredweight.client.deploy.target import UNFINISHED, remove_tree
from hundredweight.client.worktree import copy_object
from hundredweight.git.objects import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.progress import Meter
    from hundredweight.client.deploy.store import Contents, TreeFile, VersionStore
    from hundredweight.client.deploy.target import Target
    from hundredweight.protocol.pointer import Pointer

FILE_MODE = 0o444
PROGRAM_MODE = 0o555
FOLDER_MODE = 0o555
SPARE = 16 << 20
"""What must stay free on the disk: the journal has to go on."""
MANY = 500
"""Files above which the whole disk is synced at once: less than a sync of each."""
MAX_NAME = 80
WORKERS = 3
ATTEMPTS = 3
"""The second when a kept version was changed, the third when the object is damaged, too."""
MAX_LINK = 4096
_KEPT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@#+=")


class NoRoom(LocalError):
    """The disk has not enough room for a version. Nothing was changed."""

    def __init__(self, folder: str, needed: int, free: int) -> None:
        super().__init__(
            f"'{folder}' needs {format_size(needed)}, but {format_size(free)} are free",
            hint="free some disk space, or keep fewer versions with '--keep N', then run the command again",
        )
        self.needed = needed
        self.free = free


class FileDamaged(DamageError):
    """A file of the version is not what git calls it. Nothing was deployed."""

    hint = "remove the folder 'store' of the target, then run the command again: it is fetched anew"

    def __init__(self, path: str, blob: str) -> None:
        super().__init__(f"the content of '{path}' is not that of the git object '{blob}'")
        self.path = path


class _Changed(Exception):
    """A kept version's file is not what it was: the object is taken from the store instead."""


class VersionIncomplete(DamageError):
    """A kept version has lost files, or they changed. It was not switched to."""

    hint = "name another version ('cwt deployments DIR' lists them), or deploy this one again"

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"the version '{name}' is not whole: '{path}'")
        self.name = name
        self.path = path


def folder_name(number: int, name: str) -> str:
    """`3-digits@v1.2.0`."""
    return f"{number}-{''.join(char if char in _KEPT else '-' for char in name)[:MAX_NAME]}"


def reusable(target: Target, store: VersionStore, contents: Contents) -> dict[str, str]:
    """Files of kept versions that have the content of an LFS file of this one, as far as sizes tell: paths by object id."""
    wanted = {file.pointer.oid: file.size for file in contents.objects if file.pointer is not None}
    found: dict[str, str] = {}
    here = set(target.names())
    for name, commit in store.versions().items():
        for file in store.pointers(commit) if name in here else ():
            oid = file.pointer.oid
            path = os.path.join(target.path(name), file.path)
            if oid in wanted and oid not in found and os.path.isfile(path) and os.path.getsize(path) == wanted[oid]:
                found[oid] = path
    return found


def check_room(target: Target, contents: Contents, coming: int) -> None:
    """Refuse early what cannot fit; `coming` bytes of objects are to be fetched. Raises `NoRoom`."""
    needed = contents.size + coming + SPARE
    found = os.statvfs(target.versions)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise NoRoom(target.folder, needed, free)


def build(
    target: Target, store: VersionStore, contents: Contents, name: str, reuse: Mapping[str, str], meter: Meter
) -> None:
    """Make the version; objects that are neither here nor to be had by `reuse` come first. What turns out damaged comes
    again. Raises `ObjectsMissing`, `WriteError`, `UnsafePath`, `DamageError`; then there is no such version."""
    partial = target.path(UNFINISHED + name)
    try:
        for left in range(ATTEMPTS - 1, -1, -1):
            items = store.missing(contents.objects, reuse)
            if items:
                store.download(items, meter)
            try:
                _write(store, contents, partial, reuse)
                break
            except (ObjectDamaged, PackedObjectDamaged, _Changed) as error:
                if not left:
                    raise
                reuse = {}
                if isinstance(error, PackedObjectDamaged):
                    store.forget_packs()
                remove_tree(partial)
        _finish(partial, contents)
        os.rename(partial, target.path(name))
        fsync_folder(target.versions)
    except OSError as error:
        remove_tree(partial)
        raise WriteError(target.path(name), error) from error
    except BaseException:
        remove_tree(partial)
        raise


def check(target: Target, name: str, contents: Contents) -> None:
    """Whether a kept version still has all its files, by their sizes. Raises `VersionIncomplete`."""
    for file in contents.files:
        try:
            info = os.lstat(os.path.join(target.path(name), file.path))
        except OSError as error:
            raise VersionIncomplete(name, file.path) from error
        if info.st_size != file.size:
            raise VersionIncomplete(name, file.path)


def _write(store: VersionStore, contents: Contents, folder: str, reuse: Mapping[str, str]) -> None:
    remove_tree(folder)
    os.mkdir(folder)
    made = {""}
    with ObjectReader(store.git) as reader, ThreadPoolExecutor(WORKERS) as pool:
        copies = []
        try:
            for file in contents.files:
                _make_parents(folder, file.path, made)
                full = os.path.join(folder, file.path)
                if file.pointer is not None:
                    copies.append(pool.submit(_copy, store, file, file.pointer, full, reuse))
                elif not file.is_link:
                    _write_blob(reader, file, full, store.workspace.repository.object_format)
            for copy in copies:
                copy.result()
        finally:
            pool.shutdown(cancel_futures=True)
        # Last: nothing is ever written through a link.
        links = [file for file in contents.files if file.is_link]
        for file in links:
            _make_link(reader, file, folder)
    for file in links:
        _check_link(folder, file.path)


def _copy(store: VersionStore, file: TreeFile, pointer: Pointer, full: str, reuse: Mapping[str, str]) -> None:
    """An LFS file, hashed after it was written: from a kept version, a reflink where the disk can; else from the store."""
    mode = PROGRAM_MODE if file.executable else FILE_MODE
    source = reuse.get(pointer.oid)
    if source is None or pointer.extensions:
        copy_object(store.workspace, pointer, full, file.path, mode)
        return
    with open(source, "rb") as kept, AtomicFile(full, mode=mode) as target:
        if not clone_file(kept.fileno(), target.descriptor):
            copy_content(kept.fileno(), target.descriptor, file.size)
        with open(target.temp, "rb") as made:
            if hashlib.file_digest(made, "sha256").hexdigest() != pointer.oid:
                raise _Changed
        target.commit()


def _make_parents(folder: str, path: str, made: set[str]) -> None:
    parent = os.path.dirname(path)
    if parent not in made:
        _make_parents(folder, parent, made)
        os.mkdir(os.path.join(folder, parent))
        made.add(parent)


def _write_blob(reader: ObjectReader, file: TreeFile, full: str, object_format: str) -> None:
    digest = hashlib.new(object_format, b"blob %d\0" % file.size)
    with AtomicFile(full, mode=PROGRAM_MODE if file.executable else FILE_MODE) as target:

        def take(data: bytes) -> None:
            digest.update(data)
            target.write(data)

        reader.copy(file.blob, take)
        if digest.hexdigest() != file.blob:
            raise FileDamaged(file.path, file.blob)
        target.commit()


def _make_link(reader: ObjectReader, file: TreeFile, folder: str) -> None:
    to = os.fsdecode(reader.read(file.blob)) if file.size <= MAX_LINK else ""
    if os.path.isabs(to) or "\0" in to or not to:
        raise UnsafePath(file.path, f"is a symbolic link to '{to}', outside of the version")
    os.symlink(to, os.path.join(folder, file.path))


def _check_link(folder: str, path: str) -> None:
    """Where it leads when all links stand, through whatever others."""
    top = os.path.realpath(folder)
    to = os.path.realpath(os.path.join(folder, path))
    if to != top and not to.startswith(top + os.sep):
        raise UnsafePath(path, "is a symbolic link that leads out of the version")


def _finish(folder: str, contents: Contents) -> None:
    """Everything on the disk, and nothing writable."""
    many = len(contents.files) > MANY
    for place, _, names in os.walk(folder, topdown=False):
        for name in () if many else names:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                _sync(path)
        os.chmod(place, FOLDER_MODE & ~_umask_of(place))
        if not many:
            fsync_folder(place)
    if many:
        os.sync()


def _umask_of(folder: str) -> int:
    """What the user's umask took from a new folder's mode."""
    return 0o777 & ~os.stat(folder).st_mode


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
