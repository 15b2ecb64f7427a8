"""Pickles as data: opcodes are walked, nothing is imported, called or constructed.

A class or function that the pickle names becomes a `Global`, what the pickle would make with it an `Opaque`; both are plain
records. Opcodes outside of the list below end the walk with `FormatError`. `unknown` names the globals that are not on
PyTorch's own list of harmless ones: loading the file with pickle (not with weights_only) would import them.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import shorten

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_OPCODES = 1 << 24
MAX_MEMO = 1 << 22

_TYPE_NAME = re.compile(r"(b?float|q?u?int|complex|bits)\d+\w*|bool|half|double|long|short")

HARMLESS = frozenset({
    "collections OrderedDict", "collections defaultdict", "collections Counter", "builtins set", "builtins dict",
    "builtins list", "builtins int", "builtins float", "builtins complex", "builtins bytearray", "builtins frozenset",
    "builtins tuple", "_codecs encode", "numpy ndarray", "numpy dtype",
    "numpy.core.multiarray scalar", "numpy._core.multiarray scalar", "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct", "numpy.dtypes Float64DType", "numpy.dtypes Float32DType",
    "numpy.dtypes Int64DType", "argparse Namespace", "datetime datetime", "datetime timedelta", "pathlib Path",
    "pathlib PosixPath", "pathlib WindowsPath", "pathlib PurePosixPath",
})  # fmt: skip


@dataclass(frozen=True)
class Global:
    """A class or function by name, never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """What the pickle would make by calling `maker` with `args`; `state` is what it would set on it, `items` what it would put
    into it. Compared by identity: its parts may be anything."""

    maker: object
    args: object
    state: object = None
    items: list[tuple[object, object]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Persistent:
    """A reference to something outside of the pickle (PyTorch: a storage)."""

    key: object


class _Mark:
    """Stands on the stack where MARK was read."""


MARK = _Mark()


@dataclass(frozen=True)
class Walked:
    """The pickle's value, and the globals in it that are not known to be harmless."""

    value: object
    unknown: tuple[str, ...]


def walk(data: bytes, *, start: int = 0) -> Walked:
    """The first pickle in `data`, which begins at byte `start` of its file (for messages). Raises `FormatError`."""
    machine = _Machine(start)
    with warnings.catch_warnings():
        # Odd escapes in a text make Python warn its own programmer, who did not write this one.
        warnings.simplefilter("ignore")
        return _run(machine, data)


def _run(machine: _Machine, data: bytes) -> Walked:
    count = 0
    try:
        for opcode, argument, position in pickletools.genops(io.BytesIO(data)):
            machine.position = position or 0
            count += 1
            if count > MAX_OPCODES:
                raise machine.fault(f"more than {MAX_OPCODES} opcodes")
            if opcode.name == "STOP":
                return Walked(machine.pop(), tuple(sorted(machine.unknown)))
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise machine.fault(f"damaged: {shorten(str(error))}") from error
    raise machine.fault("it has no end")


def is_harmless(module: str, name: str) -> bool:
    """Whether PyTorch itself loads the global as data, or has a place for it in a scripted model."""
    if f"{module} {name}" in HARMLESS or module == "__torch__" or module.startswith("__torch__."):
        return True
    if module == "__builtin__":
        # Python 2's name for builtins, which protocol 2 keeps.
        return f"builtins {name}" in HARMLESS
    if f"{module}.{name}" in ("torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_channel_affine"):
        return True
    if module in ("torch._utils", "torch.jit._pickle"):
        return name.startswith(("_rebuild", "build_", "restore_"))
    return (module == "torch" and (name.endswith("Storage") or _is_type(name))) or (
        module == "torch.storage" and name in ("UntypedStorage", "TypedStorage", "_load_from_bytes")
    )


def _is_type(name: str) -> bool:
    return name in ("Size", "device", "Tensor") or _TYPE_NAME.fullmatch(name) is not None


class _Machine:
    def __init__(self, start: int) -> None:
        self._start = start
        self.position = 0
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self.unknown: set[str] = set()

    def fault(self, what: str) -> FormatError:
        return FormatError(f"pickle: {what}", self._start + self.position)

    def pop(self) -> object:
        if not self._stack or self._stack[-1] is MARK:
            raise self.fault("its stack is empty")
        return self._stack.pop()

    def step(self, name: str, argument: object) -> None:
        if name in _IGNORED:
            return
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self._stack.append(argument)
        elif name in _FRESH:
            self._stack.append(_FRESH[name]())
        else:
            action = _ACTIONS.get(name)
            if action is None:
                raise self.fault(f"opcode {name} is not read")
            action(self, argument)

    def _since_mark(self) -> list[object]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is MARK:
                items = self._stack[place + 1 :]
                del self._stack[place:]
                return items
        raise self.fault("a mark is missing")

    def _top(self) -> object:
        value = self.pop()
        self._stack.append(value)
        return value

    def _remember(self, place: int) -> None:
        if len(self._memo) >= MAX_MEMO:
            raise self.fault(f"more than {MAX_MEMO} remembered values")
        self._memo[place] = self._top()

    def put(self, argument: object) -> None:
        assert isinstance(argument, int)
        self._remember(argument)

    def memoize(self, _argument: object) -> None:
        self._remember(len(self._memo))

    def get(self, argument: object) -> None:
        assert isinstance(argument, int)
        self._stack.append(self._memo[argument])

    def mark(self, _argument: object) -> None:
        self._stack.append(MARK)

    def drop(self, _argument: object) -> None:
        if not self._stack:
            raise self.fault("its stack is empty")
        self._stack.pop()

    def drop_to_mark(self, _argument: object) -> None:
        self._since_mark()

    def duplicate(self, _argument: object) -> None:
        self._stack.append(self._top())

    def tuple_(self, _argument: object) -> None:
        self._stack.append(tuple(self._since_mark()))

    def tuple1(self, _argument: object) -> None:
        self._stack.append((self.pop(),))

    def tuple2(self, _argument: object) -> None:
        second, first = self.pop(), self.pop()
        self._stack.append((first, second))

    def tuple3(self, _argument: object) -> None:
        third, second, first = self.pop(), self.pop(), self.pop()
        self._stack.append((first, second, third))

    def list_(self, _argument: object) -> None:
        self._stack.append(self._since_mark())

    def dict_(self, _argument: object) -> None:
        made: dict[object, object] = {}
        self._fill(made, self._since_mark())
        self._stack.append(made)

    def append(self, _argument: object) -> None:
        item = self.pop()
        self._extend([item])

    def appends(self, _argument: object) -> None:
        self._extend(self._since_mark())

    def setitem(self, _argument: object) -> None:
        value, key = self.pop(), self.pop()
        self._fill(self._top(), [key, value])

    def setitems(self, _argument: object) -> None:
        items = self._since_mark()
        self._fill(self._top(), items)

    def _extend(self, items: list[object]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Opaque):
            target.items.extend((None, item) for item in items)
        else:
            raise self.fault("it appends to what is no list")

    def _fill(self, target: object, items: list[object]) -> None:
        if len(items) % 2:
            raise self.fault("a key has no value")
        pairs = [(_key(items[place]), items[place + 1]) for place in range(0, len(items), 2)]
        if isinstance(target, dict):
            target.update(pairs)
        elif isinstance(target, Opaque):
            target.items.extend(pairs)
        else:
            raise self.fault("it sets items of what is no dict")

    def frozenset_(self, _argument: object) -> None:
        self._stack.append(self._since_mark())

    def global_(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self._push_global(module, name)

    def stack_global(self, _argument: object) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise self.fault("a global without a name")
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        if not is_harmless(module, name):
            self.unknown.add(shorten(f"{module}.{name}"))
        self._stack.append(Global(module, name))

    def reduce(self, _argument: object) -> None:
        args, maker = self.pop(), self.pop()
        self._stack.append(_make(maker, args))

    def newobj_ex(self, _argument: object) -> None:
        self.pop()
        self.reduce(_argument)

    def build(self, _argument: object) -> None:
        state = self.pop()
        target = self._top()
        if isinstance(target, Opaque):
            target.state = state

    def persistent(self, _argument: object) -> None:
        self._stack.append(Persistent(self.pop()))


def _make(maker: object, args: object) -> object:
    if isinstance(maker, Global) and maker.name in ("OrderedDict", "dict") and args in ((), ([],)):
        return {}
    return Opaque(maker, args)


def _key(value: object) -> object:
    """A key as a dict can hold it: hashing a tuple of tuples of tuples can take for ever, so others than scalars are wrapped."""
    return value if value is None or type(value) in (str, int, float, bool, bytes) else Opaque(None, value)


_IGNORED = frozenset(("PROTO", "FRAME"))
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))  # fmt: skip
_FRESH: dict[str, Callable[[], object]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list}
_ACTIONS: dict[str, Callable[[_Machine, object], None]] = {
    "PUT": _Machine.put, "BINPUT": _Machine.put, "LONG_BINPUT": _Machine.put, "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get, "BINGET": _Machine.get, "LONG_BINGET": _Machine.get,
    "MARK": _Machine.mark, "POP": _Machine.drop, "POP_MARK": _Machine.drop_to_mark, "DUP": _Machine.duplicate,
    "TUPLE": _Machine.tuple_, "TUPLE1": _Machine.tuple1, "TUPLE2": _Machine.tuple2, "TUPLE3": _Machine.tuple3,
    "LIST": _Machine.list_, "DICT": _Machine.dict_, "APPEND": _Machine.append, "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends, "SETITEM": _Machine.setitem, "SETITEMS": _Machine.setitems, "FROZENSET": _Machine.frozenset_,
    "GLOBAL": _Machine.global_, "STACK_GLOBAL": _Machine.stack_global, "REDUCE": _Machine.reduce, "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.newobj_ex, "BUILD": _Machine.build, "BINPERSID": _Machine.persistent,
}  # fmt: skip
