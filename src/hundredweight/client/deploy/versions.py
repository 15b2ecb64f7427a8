"""A version's folder: written under another name, every byte compared with what git and LFS call it, synced, made read-only, and
only then given its name. Copies or reflinks, never hard links: who writes into a version harms no other.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError, LocalError
from hundredweight.base.files import AtomicFile, WriteError, fsync_folder
from hundredweight.base.sizes import format_size
from hundredweight.client.damage import ObjectDamaged, PackedObjectDamaged
from hundredweight.client.deploy.store import UnsafePath
from hundredweight.client.deploy.target import UNFINISHED, remove_tree
from hundredweight.client.worktree import copy_object
from hundredweight.git.objects import ObjectReader

if TYPE_CHECKING:
    from hundredweight.base.progress import Meter
    from hundredweight.client.deploy.store import Contents, TreeFile, VersionStore
    from hundredweight.client.deploy.target import Target

FILE_MODE = 0o444
PROGRAM_MODE = 0o555
FOLDER_MODE = 0o555
SPARE = 16 << 20
"""What must stay free on the disk: the journal has to go on."""
MANY = 500
"""Files above which the whole disk is synced at once: less than a sync of each."""
MAX_NAME = 80
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


def check_room(target: Target, store: VersionStore, contents: Contents) -> None:
    """Refuse early what cannot fit. Raises `NoRoom`."""
    coming = sum(item.size for item in store.missing(contents.objects))
    needed = contents.size + coming + SPARE
    found = os.statvfs(target.versions)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise NoRoom(target.folder, needed, free)


def build(target: Target, store: VersionStore, contents: Contents, name: str, meter: Meter) -> None:
    """Make the version; objects that are not here come first. Objects that turn out damaged come again, once. Raises
    `ObjectsMissing`, `WriteError`, `UnsafePath`, `DamageError`; then there is no such version."""
    partial = target.path(UNFINISHED + name)
    try:
        for last in (False, True):
            items = store.missing(contents.objects)
            if items:
                store.download(items, meter)
            try:
                _write(store, contents, partial)
                break
            except (ObjectDamaged, PackedObjectDamaged) as error:
                if last:
                    raise
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


def _write(store: VersionStore, contents: Contents, folder: str) -> None:
    remove_tree(folder)
    os.mkdir(folder)
    made = {""}
    links = []
    with ObjectReader(store.git) as reader:
        for file in contents.files:
            _make_parents(folder, file.path, made)
            full = os.path.join(folder, file.path)
            if file.is_link:
                # Last: nothing is ever written through one.
                links.append(file)
            elif file.pointer is not None:
                mode = PROGRAM_MODE if file.executable else FILE_MODE
                copy_object(store.workspace, file.pointer, full, file.path, mode, None)
            else:
                _write_blob(reader, file, full, store.workspace.repository.object_format)
        for file in links:
            _make_link(reader, file, folder)
    for file in links:
        _check_link(folder, file.path)


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
