"""Merging three versions of one weight file into one, in their format, streaming; the result is read again before it counts.

safetensors and NumPy files are laid out anew. In the others (PyTorch, GGUF, ONNX) tensors are written over their places in a
copy of the version whose structure the result has.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from bisect import bisect_left
from contextlib import closing
from copy import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from hundredweight.base.errors import CwtError, DamageError
from hundredweight.client.merge_arithmetic import combine
from hundredweight.client.merge_plan import METADATA, Conflict, Item, merge_metadata, plan_merge
from hundredweight.client.merge_rules import CONFLICT, OURS, THEIRS
from hundredweight.client.weight_files import BadWeights, open_file
from hundredweight.formats import content, npy, recognise, safetensors, zipdir
from hundredweight.formats.identity import digest_tensor
from hundredweight.formats.source import FormatError, Window
from hundredweight.formats.tensors import WeightFile, shorten
from hundredweight.formats.writing import (
    Slot,
    npy_header,
    patch_view,
    safetensors_header,
    safetensors_order,
    skeleton,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from hundredweight.base.files import AtomicFile
    from hundredweight.client.merge_plan import Items, MergePlan, Result
    from hundredweight.client.merge_rules import MergeRules
    from hundredweight.client.weight_files import Opened, OpenFile
    from hundredweight.formats.tensors import Tensor

_REBUILT = (safetensors.NAME, npy.NAME, npy.NAME_NPZ)
_MANY = 5


class MergeConflict(CwtError):
    """Both sides changed the same things. `conflicts` names each with its reason."""

    def __init__(self, name: str, conflicts: list[Conflict]) -> None:
        count = len(conflicts)
        super().__init__(f"cannot merge '{name}': {count} conflict{'' if count == 1 else 's'}")
        self.name = name
        self.conflicts = conflicts


class NotMergeable(CwtError):
    """The versions cannot be merged as weights at all: one is no weight file, or their formats differ."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot merge '{name}': {reason}")
        self.name = name
        self.reason = reason


class MergeDamaged(DamageError):
    """The written result is not what was planned, such as where tensors share their bytes and only some of them were to
    change; it was not published."""

    hint = "give a strategy (ours or theirs) that treats such tensors alike, or save the file without shared tensors"

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"the merged '{name}' is not as planned: {what}")
        self.name = name


@dataclass
class Version:
    """One of the three, open; the source's name is what it is called in messages. Without `weights` it is no weight file, and
    has no items."""

    source: Opened
    weights: WeightFile | None
    items: Items = field(default_factory=dict)

    @property
    def format(self) -> str:
        return self.weights.format if self.weights else ""

    def skeleton(self) -> bytes:
        return skeleton(self.source, self.weights) if self.weights else b""


class Versions(NamedTuple):
    """Of one file. `base` may have no weights: then everything was added."""

    base: Version
    ours: Version
    theirs: Version

    def close(self) -> None:
        for version in self:
            version.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


@dataclass
class Merge:
    """A merge without conflicts. `whole` is the version that the result equals, None where it must be written. `template` is
    the version that is copied, None where the file is laid out anew; `patches` are what is written over it."""

    name: str
    versions: Versions
    plan: MergePlan
    whole: Version | None = None
    template: Version | None = None
    patches: list[_Patch] = field(default_factory=list)


class _Patch(NamedTuple):
    """`flat`: all tensors that take part lie in their files alike, and are used as their bytes stand."""

    result: Result
    place: Tensor
    flat: bool


def read_versions(base: Opened, ours: Opened, theirs: Opened) -> Versions:
    """Three open files; the result's `close` closes them. Their tensors are hashed. Raises `CannotOpen`, `BadWeights`; a file
    that is not of a known format has no weights."""
    return Versions(_read(base), _read(ours), _read(theirs))


def plan(name: str, versions: Versions, rules: MergeRules) -> Merge:
    """Decide everything. Raises `MergeConflict` and `NotMergeable`."""
    base, ours, theirs = versions
    if not ours.format or not theirs.format:
        raise NotMergeable(name, "it is no weight file of a known format")
    if ours.format != theirs.format:
        raise NotMergeable(name, f"it is a {ours.format} file in ours, and a {theirs.format} file in theirs")
    merge = Merge(name, versions, plan_merge(base.items, ours.items, theirs.items, rules))
    if ours.format in _REBUILT:
        _plan_rebuilt(merge, rules)
    else:
        _plan_patches(merge, rules)
    if merge.plan.conflicts:
        raise MergeConflict(name, merge.plan.conflicts)
    return merge


def write(merge: Merge, target: AtomicFile) -> None:
    """The result, into a file that is new; then it is read again. Raises `MergeDamaged`, `WriteError`, `BadWeights`."""
    computed = _Computed(merge)
    try:
        if merge.template is not None:
            _patch(merge, merge.template, computed, target)
        elif merge.versions.ours.format == safetensors.NAME:
            _write_safetensors(merge, computed, target)
        elif merge.versions.ours.format == npy.NAME:
            (result,) = merge.plan.results
            target.write(npy_header(result.item.tensor.dtype, result.item.tensor.shape))
            for piece in computed.pieces(result):
                target.write(piece)
        else:
            _write_npz(merge, computed, target)
    except FormatError as error:
        raise BadWeights(merge.name, error) from error
    except zipfile.BadZipFile as error:
        # What our reader does not look at: checksums, and names that stand twice.
        raise BadWeights(merge.name, FormatError(shorten(str(error)))) from error
    _verify(merge, computed, target)


def _read(source: Opened) -> Version:
    try:
        weights = recognise.read(source)
    except recognise.UnknownFormat:
        return Version(source, None)
    except FormatError as error:
        raise BadWeights(source.name, error) from error
    version = Version(source, weights)
    for tensor in weights.tensors:
        if tensor.file:
            # External data of ONNX is another file, which git merges for itself.
            continue
        try:
            digest = digest_tensor(tensor, content.chunks(source, tensor))
        except FormatError as error:
            raise BadWeights(source.name, error) from error
        version.items[tensor.name] = Item(tensor, digest.digest)
    return version


def _metadata(version: Version) -> dict[str, object]:
    return dict(version.weights.metadata) if version.weights and version.format == safetensors.NAME else {}


def _plan_rebuilt(merge: Merge, rules: MergeRules) -> None:
    base, ours, theirs = map(_metadata, merge.versions)
    merge_metadata(merge.plan, base, ours, theirs, rules)
    for version in merge.versions[1:]:
        if merge.plan.same_tensors(version.items) and merge.plan.metadata == _metadata(version):
            merge.whole = version
            return


def _plan_patches(merge: Merge, rules: MergeRules) -> None:
    template = _template(merge, rules)
    if template is None or merge.plan.conflicts:
        return
    wanted = {r.name: (r.item.tensor.dtype, r.item.tensor.shape) for r in merge.plan.results}
    if wanted != {name: (item.tensor.dtype, item.tensor.shape) for name, item in template.items.items()}:
        raise NotMergeable(merge.name, _structure(template.format, "the result would have tensors of both"))
    merge.template = template
    elsewhere = []
    for result in merge.plan.results:
        place = template.items[result.name]
        if not result.computed and result.item.content == place.content:
            continue
        inputs = (result.ours, result.theirs, result.base) if result.computed else (result.item,)
        flat = patch_view(place.tensor, [item.tensor for item in inputs if item])
        if flat is None or (flat and result.computed and place.tensor.swapped):
            elsewhere.append(Conflict(result.name, "is stored in a way that cannot be written in place"))
        else:
            merge.patches.append(_Patch(result, place.tensor, flat))
    # A view of another tensor follows when that one is written; whether it does is seen when the result is read again.
    written = [(patch.place.start, patch.place.end) for patch in merge.patches]
    for conflict in elsewhere:
        place = template.items[conflict.name]
        if not any(start <= place.tensor.start and place.tensor.end <= end for start, end in written):
            merge.plan.conflicts.append(conflict)
    if not merge.patches:
        merge.whole = template


def _template(merge: Merge, rules: MergeRules) -> Version | None:
    """The version whose file is as the result's but for tensor data: what of it one side alone changed is that side's."""
    _, ours, theirs = merge.versions
    before, mine, other = (version.skeleton() for version in merge.versions)
    if other in (mine, before):
        return ours
    if mine == before:
        return theirs
    strategy = rules.strategy(METADATA)
    if strategy == CONFLICT:
        facts = _differing(ours, theirs)
        merge.plan.conflicts.append(Conflict(METADATA, "changed on both sides" + (f": {facts}" if facts else "")))
        return None
    if strategy != THEIRS:
        merge.plan.kept += [METADATA] if strategy != OURS else []
        return ours
    return theirs


def _differing(ours: Version, theirs: Version) -> str:
    """The facts in which two files differ, by name; empty where it is none that a reader sees."""
    assert ours.weights is not None
    assert theirs.weights is not None
    mine, other = ours.weights.metadata, theirs.weights.metadata
    keys = [shorten(key) for key in dict.fromkeys([*mine, *other]) if mine.get(key) != other.get(key)]
    more = [f"{len(keys) - _MANY} more"] if len(keys) > _MANY else []
    return ", ".join([*keys[:_MANY], *more])


def _structure(kind: str, what: str) -> str:
    return f"{what}, and {kind} files are merged only where one side's structure holds for the result"


class _Computed:
    """The results' contents; what is computed is hashed as it is read, for the check at the end."""

    def __init__(self, merge: Merge) -> None:
        self._versions = merge.versions
        self._digests: dict[str, bytes] = {}

    def pieces(self, result: Result, *, flat: bool = False) -> Iterator[bytes | memoryview]:
        base, ours, theirs = self._versions
        if not result.computed:
            yield from _content(theirs if result.how == THEIRS else ours, result.item, flat=flat)
            return
        machine = blake3()
        assert result.ours is not None
        assert result.theirs is not None
        before = _content(base, result.base, flat=flat) if result.base else None
        mine, other = _content(ours, result.ours, flat=flat), _content(theirs, result.theirs, flat=flat)
        for piece in combine(result.how, result.item.tensor.dtype, mine, other, before):
            machine.update(piece)
            yield piece
        self._digests[result.name] = machine.digest()

    def expected(self, result: Result) -> tuple[str, tuple[int, ...], bytes]:
        """Type, shape and digest of what the file must have in the end."""
        if not result.computed:
            return result.item.content
        if result.name not in self._digests:
            # A view, whose bytes were written as another tensor's.
            for _ in self.pieces(result):
                pass
        return result.item.tensor.dtype, result.item.tensor.shape, self._digests[result.name]


def _content(version: Version, item: Item, *, flat: bool) -> Iterator[bytes | memoryview]:
    return content.chunks(version.source, _flattened(item.tensor) if flat else item.tensor)


def _flattened(tensor: Tensor) -> Tensor:
    """The same bytes as they stand, taken for a row of elements."""
    return replace(tensor, shape=(tensor.elements,), strides=None, swapped=False)


def _write_safetensors(merge: Merge, computed: _Computed, target: AtomicFile) -> None:
    ours = merge.versions.ours
    slots = {r.name: Slot(r.name, r.item.tensor.dtype, r.item.tensor.shape) for r in merge.plan.results}
    kept = sorted((r for r in merge.plan.results if r.ours), key=lambda r: r.ours.tensor.start if r.ours else 0)
    data = safetensors_order([slots[r.name] for r in kept], [slots[r.name] for r in merge.plan.results if not r.ours])
    listed = list(slots.values())
    unchanged = listed == [Slot(name, i.tensor.dtype, i.tensor.shape) for name, i in ours.items.items()]
    if unchanged and merge.plan.metadata == _metadata(ours):
        length = int.from_bytes(ours.source.read(0, 8), "little")
        target.write(ours.source.read(0, 8 + length))
    else:
        target.write(safetensors_header(listed, data, merge.plan.metadata))
    by_name = {result.name: result for result in merge.plan.results}
    for slot in data:
        for piece in computed.pieces(by_name[slot.name]):
            target.write(piece)


class _Readable(io.RawIOBase):
    """A source as the file object that `zipfile` wants to read."""

    def __init__(self, source: Opened) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._source.size - self._at, 0)
        data = self._source.read(self._at, left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data


class _Positioned:
    """The part of a file object that `zipfile` needs to write."""

    def __init__(self, target: AtomicFile) -> None:
        self._target = target
        self._at = 0

    def write(self, data: bytes) -> int:
        self._target.write_at(self._at, data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, _whence: int = 0) -> int:
        self._at = offset
        return offset

    def flush(self) -> None:
        """Nothing is held back."""


def _write_npz(merge: Merge, computed: _Computed, target: AtomicFile) -> None:
    """Arrays that one side has are copied with their headers, and packed anew."""
    _, ours, theirs = merge.versions
    with (
        zipfile.ZipFile(_Readable(ours.source)) as mine,
        zipfile.ZipFile(_Readable(theirs.source)) as other,
        zipfile.ZipFile(_Positioned(target), "w") as made,  # type: ignore[call-overload]
    ):
        for result in merge.plan.results:
            origin = other if result.how == THEIRS else mine
            member = origin.getinfo(f"{result.item.tensor.name}.npy")
            info = copy(member)
            info.filename, info.extra = f"{result.name}.npy", b""
            with made.open(info, "w", force_zip64=True) as writer:
                if result.computed:
                    writer.write(npy_header(result.item.tensor.dtype, result.item.tensor.shape))
                    for piece in computed.pieces(result):
                        writer.write(piece)
                    continue
                with origin.open(member) as reader:
                    while piece := reader.read(content.CHUNK):
                        writer.write(piece)


def _patch(merge: Merge, template: Version, computed: _Computed, target: AtomicFile) -> None:
    for start in range(0, template.source.size, content.CHUNK):
        target.write(template.source.read(start, min(content.CHUNK, template.source.size - start)))
    for patch in merge.patches:
        at = patch.place.start
        for piece in computed.pieces(patch.result, flat=patch.flat):
            target.write_at(at, piece)
            at += len(piece)
    if zipdir.matches(template.source):
        _renew_checksums(merge, template, target)


def _renew_checksums(merge: Merge, template: Version, target: AtomicFile) -> None:
    """Of the zip members that were written into."""
    window = Window(template.source)
    written = sorted(patch.place.start for patch in merge.patches)
    with _reopened(target, merge.name) as source:
        for member in zipdir.members(window).values():
            place = bisect_left(written, member.start)
            if place == len(written) or written[place] >= member.start + member.size:
                continue
            checksum = 0
            for at in range(member.start, member.start + member.size, content.CHUNK):
                checksum = zlib.crc32(source.read(at, min(content.CHUNK, member.start + member.size - at)), checksum)
            for field_at in zipdir.checksum_places(window, member):
                target.write_at(field_at, checksum.to_bytes(4, "little"))


def _verify(merge: Merge, computed: _Computed, target: AtomicFile) -> None:
    """Read what was written: the tensors that were planned are there, and no others."""
    flat = {patch.result.name for patch in merge.patches if patch.flat and patch.result.computed}
    with _reopened(target, merge.name) as source:
        try:
            found = {tensor.name: tensor for tensor in recognise.read(source).tensors if not tensor.file}
            if set(found) != {result.name for result in merge.plan.results}:
                raise MergeDamaged(merge.name, "its tensors are others")
            for result in merge.plan.results:
                tensor = found[result.name]
                view = _flattened(tensor) if result.name in flat else tensor
                digest = digest_tensor(view, content.chunks(source, view)).digest
                if (tensor.dtype, tensor.shape, digest) != computed.expected(result):
                    raise MergeDamaged(merge.name, f"tensor '{shorten(result.name)}' has other bytes")
        except FormatError as error:
            raise MergeDamaged(merge.name, str(error)) from error


def _reopened(target: AtomicFile, name: str) -> closing[OpenFile]:
    return closing(open_file(target.temp, name))
