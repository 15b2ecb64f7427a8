"""PyTorch's zip checkpoints (`torch.save` since 1.6) and scripted models: `data.pkl` tells the tensors, `data/N` are storages.

The pickle is walked, never loaded. Tensors of nested dicts get dotted names (`state_dict.layer.weight`); scalars beside them
become metadata under the same names. A checkpoint that is a plain state dict keeps its names as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.formats import zipdir
from hundredweight.formats.picklewalk import Global, Opaque, Persistent, walk
from hundredweight.formats.source import MAX_NAME, MAX_TENSORS, FormatError, Source, Window
from hundredweight.formats.tensors import (
    BITS,
    ArrayHead,
    Deflated,
    Tensor,
    WeightFile,
    check_shape,
    check_tensors,
    element_count,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.formats.zipdir import Member

NAME = "pytorch"
MAX_PICKLE = 1 << 28
MAX_VISITED = 1 << 21
MAX_FACTS = 10_000
MAX_DEPTH = 32
HEAD = 8
_MAX_WRAPPERS = 8
CLASS = "archive.class"
"""The fact that names the class of the saved object."""
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_STORAGES = {
    "FloatStorage": "F32", "DoubleStorage": "F64", "HalfStorage": "F16", "BFloat16Storage": "BF16", "LongStorage": "I64",
    "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
    "ComplexFloatStorage": "C64", "ComplexDoubleStorage": "C128", "UntypedStorage": "U8",
    "QInt8Storage": "I8", "QUInt8Storage": "U8", "QInt32Storage": "I32",
}  # fmt: skip
_DTYPES = {
    "float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "complex32": "C32",
    "complex64": "C64", "complex128": "C128", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip


@dataclass(frozen=True)
class _View:
    """A tensor as the pickle describes it: a view of a storage. `offset` and `strides` count elements."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_legacy(source: Source) -> bool:
    """Whether this is what `torch.save` wrote before version 1.6."""
    return source.size >= len(LEGACY) and source.read(0, len(LEGACY)) == LEGACY


def is_checkpoint(members: dict[str, Member]) -> bool:
    return _root(members) is not None


def read(source: Source) -> WeightFile:
    """The zip directory and the pickle are read. Raises `FormatError`."""
    window = Window(source)
    members = zipdir.members(window)
    root = _root(members)
    if root is None:
        raise FormatError("no PyTorch checkpoint: 'data.pkl' is missing from the zip file")
    pickle = members[f"{root}data.pkl"]
    walked = walk(
        zipdir.content(window, pickle, MAX_PICKLE), start=pickle.start if pickle.method == zipdir.STORED else 0
    )
    flat = _Flat(walked.value)
    order = members.get(f"{root}byteorder")
    swapped = order is not None and zipdir.content(window, order, 64) == b"big"
    views = [(name, view, members.get(f"{root}data/{view.storage}")) for name, view in flat.views]
    tensors = check_tensors(_tensor(name, view, member, swapped) for name, view, member in views)
    facts: dict[str, object] = {**_archive_facts(window, members, root), **_class_fact(walked.value), **flat.facts}
    notes = [f"the pickle names {name}, which is not on PyTorch's list of safe globals" for name in walked.unknown]
    return WeightFile(NAME, tensors, facts, tuple(notes))


def _root(members: dict[str, Member]) -> str | None:
    for name in members:
        folder, slash, last = name.rpartition("/")
        if last == "data.pkl" and "/" not in folder:
            return folder + slash
    return None


def _archive_facts(window: Window, members: dict[str, Member], root: str) -> dict[str, object]:
    facts: dict[str, object] = {}
    for name in ("version", ".format_version", "byteorder"):
        member = members.get(root + name)
        if member is not None:
            text = zipdir.content(window, member, 1 << 10).decode("utf-8", "replace").strip()
            facts[f"archive.{name.strip('.')}"] = text
    facts["archive.scripted"] = any(name.startswith(f"{root}code/") for name in members)
    return facts


def _class_fact(value: object) -> dict[str, object]:
    """Of what class the one object is that was saved, where it is no dict: a Trainer's `training_args.bin`, a whole module."""
    return {CLASS: str(value.maker)} if isinstance(value, Opaque) and isinstance(value.maker, Global) else {}


class _Flat:
    """A pickle's value as flat lists: `views` of tensors and `facts` (scalars), both by dotted name."""

    def __init__(self, value: object) -> None:
        self.views: list[tuple[str, _View]] = []
        self.facts: dict[str, object] = {}
        self._visited = 0
        self._visit(value, "", 0)

    def _visit(self, value: object, name: str, depth: int, *, facts: bool = True) -> None:
        self._visited += 1 + (len(value) if isinstance(value, list | tuple) else 0)
        if depth > MAX_DEPTH or self._visited > MAX_VISITED or len(self.views) > MAX_TENSORS or len(name) > MAX_NAME:
            raise FormatError("the checkpoint is nested without end")
        if isinstance(value, Opaque):
            view = _rebuilt(value)
            if view is not None:
                self.views.append((name or "tensor", view))
                return
            told = _said_by(value)
            if facts and told is not None:
                self._fact(name, told)
                return
            # What a call was given may hold tensors (a sparse tensor's parts, a wrapper's inner one), and is no fact.
            self._visit(value.args, name, depth + 1, facts=False)
        for key, child in _children(value):
            self._visit(child, f"{name}.{key}" if name else key, depth + 1, facts=facts)
        if facts and (value is None or isinstance(value, str | int | float)):
            self._fact(name, _scalar(value))
        elif (
            facts and isinstance(value, list | tuple) and value and all(isinstance(v, str | int | float) for v in value)
        ):
            head = [_scalar(item) for item in value[:HEAD]]
            self._fact(name, head if len(value) <= HEAD else ArrayHead(len(value), tuple(head)))

    def _fact(self, name: str, value: object) -> None:
        if len(self.facts) < MAX_FACTS:
            self.facts[name or "value"] = value


def _scalar(value: object) -> object:
    """A fact of bounded size: long texts are shortened, and numbers of thousands of digits have no text in Python at all."""
    if isinstance(value, str):
        return shorten(value, 1000)
    return f"a number of {value.bit_length()} bits" if isinstance(value, int) and value.bit_length() > 64 else value


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield _label(key), child
    elif isinstance(value, list | tuple):
        if not all(isinstance(item, str | int | float) for item in value):
            for place, child in enumerate(value):
                yield str(place), child
    elif isinstance(value, Opaque):
        for key, child in value.items:
            yield _label(key), child
        state = value.state
        if isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
            for part in state:
                yield from _children(part)
        elif isinstance(state, dict):
            yield from _children(state)
        elif state is not None:
            yield "state", state


def _label(key: object) -> str:
    if isinstance(key, str):
        return key
    return shorten(str(_scalar(key))) if isinstance(key, int | float | bytes) else "?"


def _said_by(value: Opaque) -> object:
    """The one scalar that an object stands for, a member of an enumeration or a path; None for other objects."""
    args = value.args
    if _path_of(value):
        return _path_of(value)
    if value.state is not None or value.items or not isinstance(args, tuple) or len(args) != 1:
        return None
    return _scalar(args[0]) if isinstance(value.maker, Global) and isinstance(args[0], str | int | float) else None


def _path_of(value: Opaque) -> str:
    """The path that a pathlib object stands for, else nothing."""
    if not isinstance(value.maker, Global) or value.maker.module != "pathlib" or not isinstance(value.args, tuple):
        return ""
    return shorten("/".join(part for part in value.args if isinstance(part, str)).replace("//", "/"), 1000)


def _unwrapped(value: Opaque) -> tuple[object, object]:
    """Maker and arguments of a tensor below a parameter or a subclass around it."""
    maker, args = value.maker, value.args
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(maker, Global) or not maker.module.startswith("torch") or not isinstance(args, tuple):
            break
        if (
            maker.name in ("_rebuild_parameter", "_rebuild_parameter_with_state")
            and args
            and isinstance(args[0], Opaque)
        ):
            maker, args = args[0].maker, args[0].args
        elif maker.name == "_rebuild_from_type_v2" and len(args) >= 3:
            maker, args = args[0], args[2]
        else:
            break
    return maker, args


def _rebuilt(value: Opaque) -> _View | None:
    """The view that one of PyTorch's `_rebuild` functions would make; None when `value` is something else."""
    maker, args = _unwrapped(value)
    if not isinstance(maker, Global) or not isinstance(args, tuple) or not maker.module.startswith("torch"):
        return None
    if maker.name not in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_qtensor"):
        return None
    if len(args) < 4 or not isinstance(args[0], Persistent):
        raise FormatError("pickle: a tensor without a storage")
    storage, dtype = _storage(args[0].key)
    if maker.name == "_rebuild_tensor_v3":
        named = args[6] if len(args) > 6 else None
        if not isinstance(named, Global) or named.name not in _DTYPES:
            raise FormatError(f"pickle: a tensor of unknown type '{shorten(str(named))}'")
        dtype = _DTYPES[named.name]
    offset, shape, strides = args[1], args[2], args[3]
    if type(offset) is not int or not _is_numbers(shape) or not _is_numbers(strides) or len(shape) != len(strides):
        raise FormatError("pickle: a tensor's shape, strides or offset are no numbers")
    marks = {"_rebuild_tensor_v2": args[6:7], "_rebuild_tensor_v3": args[7:8]}.get(maker.name, ())
    if any(isinstance(mark, dict) and (mark.get("conj") or mark.get("neg")) for mark in marks):
        # The storage holds other numbers than the tensor has: its bytes are not the tensor's.
        raise FormatError("pickle: a tensor that is stored conjugated or negated is not read")
    return _View(storage, dtype, offset, shape, strides)


def _is_numbers(value: object) -> bool:
    return isinstance(value, tuple) and all(type(item) is int and 0 <= item < 1 << 62 for item in value)


def _storage(key: object) -> tuple[str, str]:
    """Number and type of the storage that a persistent id names: ('storage', class, number, device, elements)."""
    if not isinstance(key, tuple) or len(key) < 3 or key[0] != "storage" or not isinstance(key[2], str):
        raise FormatError("pickle: a reference that names no storage")
    if not isinstance(key[1], Global) or key[1].name not in _STORAGES:
        raise FormatError(f"pickle: a storage of unknown type '{shorten(str(key[1]))}'")
    return key[2], _STORAGES[key[1].name]


def _tensor(name: str, view: _View, member: Member | None, swapped: bool) -> Tensor:
    label = shorten(name)
    if member is None:
        raise FormatError(f"tensor '{label}' is in storage '{shorten(view.storage)}', which the file lacks")
    check_shape(view.shape, name, member.start)
    width = BITS[view.dtype] // 8
    # Offsets and strides count elements of the tensor's own type.
    touched = _touched(view.shape, view.strides)
    # A view of nothing may begin anywhere.
    offset = view.offset if touched else 0
    first, last = offset * width, (offset + touched) * width
    if view.offset < 0 or last > member.size:
        raise FormatError(f"tensor '{label}' reaches beyond its storage of {member.size} bytes", member.start)
    deflated = None
    if member.method == zipdir.DEFLATED:
        deflated = Deflated(member.start, member.packed, member.size, first)
        start, end = member.start, member.start + member.packed
    else:
        start, end = member.start + first, member.start + last
    strides = None if _is_row_major(view.shape, view.strides) else view.strides
    return Tensor(name, view.dtype, view.shape, start, end, deflated, strides, swapped and width > 1)


def _touched(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many elements of the storage lie between the first and the last that the view sees."""
    if element_count(shape) == 0:
        return 0
    return 1 + sum((extent - 1) * stride for extent, stride in zip(shape, strides, strict=True))


def _is_row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and stride != expected:
            return element_count(shape) == 0
        expected *= extent
    return True
