"""A stored object whose bytes are not the ones its name stands for, found while a file was made of it.

It is moved out of the way, to lfs/bad, as `git lfs fsck` does: then the next command sees that the object is missing and
downloads it, instead of stumbling over it again.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import DamageError
from hundredweight.base.files import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.base.ids import Oid
    from hundredweight.store.loose import LooseStore


class ObjectDamaged(DamageError):
    """A stored object is not what its name says; the file it is for was not written. `path` is that file, `aside` where the
    object's bytes are now (empty: still in their place)."""

    hint = (
        "run the command again, it downloads the object anew; if git then sees local changes that are none, repeat it with "
        "'--force'; 'git lfs fsck' looks for more damage"
    )

    def __init__(self, path: str, oid: Oid, aside: str) -> None:
        where = f"; it was moved to '{aside}'" if aside else ""
        super().__init__(
            f"object '{oid}' of '{path or '<unknown file>'}' is damaged in the local store{where}",
            hint="" if aside else "run 'git lfs fetch --refetch', then run the command again",
        )
        self.path = path
        self.oid = oid
        self.aside = aside


class PackedObjectDamaged(DamageError):
    """The packs do not give an object; the file it is for was not written. `path` is that file."""

    hint = "run 'git lfs fsck', which takes the damaged object out of the packs, then 'git lfs pull'"

    def __init__(self, path: str, oid: Oid) -> None:
        super().__init__(f"object '{oid}' of '{path or '<unknown file>'}' is damaged in the local packs")
        self.path = path
        self.oid = oid


def set_aside(store: LooseStore, oid: Oid, descriptor: int) -> str:
    """Move the damaged object, open as `descriptor`, to lfs/bad and give its new name. Empty when that could not be done, or
    when another object has come into its place since."""
    path, aside = store.path(oid), os.path.join(store.bad, oid)
    try:
        if not os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return ""
        publish(path, aside)
    except OSError:
        # A store that is only read: the error says what is wrong all the same.
        return ""
    return aside
