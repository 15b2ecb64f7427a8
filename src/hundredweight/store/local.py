"""Everything a clone has of its objects: loose files first, then packs.

The packs' code is loaded only where there are packs and an object is not loose; a clone without packs is read as before.
"""

from __future__ import annotations

import os

from hundredweight.base.files import FilePieces
from hundredweight.store.loose import LooseStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hundredweight.base.ids import Oid
    from hundredweight.store.packfolder import PackFolder
    from hundredweight.store.repack import RepackPlan

    Buffer = bytes | bytearray | memoryview

CHUNK = 1 << 20


class LocalStore(LooseStore):
    """A `LooseStore` that sees packed objects too: `size`, `has` and `ids` count them in.

    `path` is still where the loose copy is or would be: read with `open_stream`, which takes either; who needs a file (to send
    it, for a program) calls `file` first.
    """

    def __init__(self, root: str, references: tuple[str, ...] = (), mode: int = 0o444) -> None:
        super().__init__(root, references, mode)
        self._packs_folder = os.path.join(root, "packs")
        self._packs: PackFolder | None = None
        self._packed_references: list[PackFolder] | None = None

    @property
    def packs(self) -> PackFolder:
        """The clone's packs, whether there are any or not."""
        if self._packs is None:
            from hundredweight.store.packfolder import PackFolder  # noqa: PLC0415 - only where there are packs

            self._packs = PackFolder(self.root, self.mode)
        return self._packs

    @property
    def has_packs(self) -> bool:
        return os.path.isdir(self._packs_folder)

    def loose_size(self, oid: Oid) -> int:
        """Bytes of the loose copy; -1 when there is none."""
        return super().size(oid)

    def size(self, oid: Oid) -> int:
        """Bytes of the object, loose or packed; -1 when it is not here."""
        found = super().size(oid)
        return self.packs.size(oid) if found < 0 and self.has_packs else found

    def is_packed(self, oid: Oid) -> bool:
        """Whether the object can be read from packs alone."""
        return self.has_packs and self.packs.size(oid) >= 0

    def open_stream(self, oid: Oid, start: int = 0, end: int | None = None) -> Iterator[Buffer]:
        """The bytes `[start, end)` of the object in pieces of some MiB at most. From packs, each piece is verified before it is
        given; a loose file is trusted, as ever. Raises `FileNotFoundError` at once when the object is not here, and while reading
        `OSError` and `DamageError`. An object may be packed or unpacked meanwhile."""
        try:
            return self._open_loose(oid, start, end)
        except FileNotFoundError:
            if not self.is_packed(oid):
                raise
        from hundredweight.store.packfolder import NotPacked  # noqa: PLC0415 - only where there are packs

        try:
            return self._read_packed(oid, self.packs.open_stream(oid, start, end), start, end)
        except NotPacked:
            return self._open_loose(oid, start, end)

    def _open_loose(self, oid: Oid, start: int, end: int | None) -> Iterator[Buffer]:
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        return FilePieces(os.open(self.path(oid), flags), start, end, CHUNK)

    def _read_packed(self, oid: Oid, pieces: Iterator[Buffer], start: int, end: int | None) -> Iterator[Buffer]:
        """Where the object leaves the packs amid reading, `cwt unpack` has made its loose copy before."""
        from hundredweight.store.catalog import PackMissing  # noqa: PLC0415 - only where there are packs
        from hundredweight.store.reader import SegmentMissing  # noqa: PLC0415 - likewise

        at = start
        try:
            for piece in pieces:
                yield piece
                at += len(piece)
            return
        except (PackMissing, SegmentMissing):
            try:
                rest = self._open_loose(oid, at, end)
            except FileNotFoundError:
                rest = None
            if rest is None:
                raise
        yield from rest

    def open_content(self, oid: Oid) -> int:
        """A descriptor of the object's bytes, at their beginning: the loose copy, or, made from packs, a file without a name. The
        caller closes it. Raises as `open_stream`, and `WriteError`."""
        try:
            return os.open(self.path(oid), os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            if not self.is_packed(oid):
                raise
        with self.writer() as copy:
            for piece in self.open_stream(oid):
                copy.write(piece)
            descriptor = os.dup(copy.descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def file(self, oid: Oid) -> str:
        """The object as a file: its loose copy, made from packs when there is none. `drop_loose` removes it again. Raises as
        `open_stream`, and `WriteError`."""
        path = self.path(oid)
        if not os.path.exists(path) and self.is_packed(oid):
            from hundredweight.store.packing import unpack  # noqa: PLC0415 - numpy, only where an object is unpacked

            unpack(self, oid, self.packs)
        return path

    def drop_loose(self, oid: Oid) -> bool:
        """Forget the loose copy of an object that is packed. False, and nothing done, when packs lack a part of it, or when
        another process writes packs: it may be taking the object out."""
        if not self.is_packed(oid):
            return False
        from hundredweight.store.packfolder import PacksBusy  # noqa: PLC0415 - only where there are packs
        from hundredweight.store.packing import is_complete  # noqa: PLC0415 - numpy, only where packs are written

        try:
            with self.packs.lock(wait=False):
                complete = is_complete(self.packs, oid)
                if complete:
                    super().remove(oid)
        except PacksBusy:
            return False
        return complete

    def adopt_reference(self, oid: Oid, size: int) -> bool:
        """As for loose objects; what a reference has in packs is copied out of them, verified."""
        return super().adopt_reference(oid, size) or any(
            self._adopt_packed(oid, size, other) for other in self._others()
        )

    def ids(self) -> Iterator[tuple[Oid, int]]:
        """Every object with its size, loose or packed: each once, the loose ones first."""
        if not self.has_packs:
            yield from super().ids()
            return
        seen = set()
        for oid, size in super().ids():
            seen.add(oid)
            yield oid, size
        for oid, size in self.packs.ids():
            if oid not in seen:
                yield oid, size

    def loose_ids(self) -> Iterator[tuple[Oid, int]]:
        """Every loose object with its size, in order of id."""
        return super().ids()

    def plan_removal(self, oids: Collection[Oid]) -> RepackPlan | None:
        """What removing those objects from packs takes; None where no pack has one. For `freed`; changes nothing."""
        packed = [oid for oid in oids if self.is_packed(oid)]
        if not packed:
            return None
        from hundredweight.store.repack import plan_repack  # noqa: PLC0415 - only where packs are rewritten

        return plan_repack(self.packs, packed)

    def remove_packed(self, oids: Collection[Oid]) -> int:
        """Forget those objects in packs; what other objects need of them stays. Gives the bytes freed. Raises `PacksBusy` when
        another process writes packs, `WriteError`."""
        if not self.has_packs:
            return 0
        from hundredweight.store.repack import execute  # noqa: PLC0415 - only where packs are rewritten

        with self.packs.lock(wait=False):
            plan = self.plan_removal(oids)
            if plan is None:
                return 0
            execute(self.packs, plan)
            return plan.freed

    def close(self) -> None:
        """Harmless a second time; what is asked later opens packs again."""
        for folder in (self._packs, *(self._packed_references or ())):
            if folder is not None:
                folder.close()

    def _others(self) -> list[PackFolder]:
        """The packs of the references."""
        if self._packed_references is None:
            roots = [os.path.dirname(folder) for folder in self.references]
            roots = [root for root in roots if os.path.isdir(os.path.join(root, "packs"))]
            self._packed_references = []
            if roots:
                from hundredweight.store.packfolder import PackFolder  # noqa: PLC0415 - only where there are packs

                self._packed_references = [PackFolder(root, self.mode) for root in roots]
        return self._packed_references

    def _adopt_packed(self, oid: Oid, size: int, packs: PackFolder) -> bool:
        if packs.size(oid) != size:
            return False
        from hundredweight.base.errors import DamageError  # noqa: PLC0415 - only where there are packs
        from hundredweight.store.packing import unpack  # noqa: PLC0415 - numpy, only where an object is unpacked

        try:
            unpack(self, oid, packs)
        except DamageError:
            # A reference saves a download; where it is damaged, there is one.
            return False
        return True
