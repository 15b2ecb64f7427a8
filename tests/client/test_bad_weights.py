"""Every kind of bad or odd weights: kept and moved to the byte, and told what is wrong and where by who reads them."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from hundredweight.client.diff import compare_files
from hundredweight.client.inspect import inspect
from hundredweight.client.weight_files import BadWeights, Model, open_model
from hundredweight.store.packing import unpack
from tests.formats.test_gguf import HEAD
from tests.formats.test_safetensors import DEEP, file_of
from tests.store.clone_store import CloneStore
from tests.store.test_staged_pack import Hub

COUNT = 40_000
"""Elements of a tensor: more bytes than the smallest object that is packed."""
SIZE = 4 * COUNT
FLOATS = np.random.default_rng(5).normal(0, 0.02, COUNT).astype(np.float32)
LATER = FLOATS + np.float32(1e-6)


def row(start: int = 0, end: int = SIZE, **changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [COUNT], "data_offsets": [start, end]} | changes


def weights(data: bytes, **tensors: object) -> bytes:
    return file_of(tensors, data)


def both(data: Callable[[Any], bytes]) -> tuple[bytes, bytes]:
    """The version before, and the one that is looked at."""
    return data(FLOATS), data(LATER)


def bits(words: np.ndarray[Any, Any]) -> bytes:
    return weights(np.resize(words.astype(np.uint32), COUNT).tobytes(), w=row())


def npz(array: Any, method: int = zipfile.ZIP_STORED, shape: object = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array)
    member = out.getvalue()
    if shape is not None:
        member = member.replace(b"(%d,)" % COUNT, str(shape).encode().ljust(len(str(COUNT)) + 3))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("w.npy", member)
    return out.getvalue()


def bomb(first: int = 0) -> bytes:
    """As much as a hundred million zeros, in a hundred thousand bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made, made.open("w.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (25 << 20,)})
        for number in range(100):
            member.write(bytes([first if number == 0 else 0]) * (1 << 20))
    return out.getvalue()


MADE = Path(tempfile.gettempdir()) / f"made-by-a-pickle-{os.getpid()}"


class Evil:
    """What a pickle runs when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


def checkpoint(value: object, array: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("m/data.pkl", pickle.dumps(value))
        made.writestr("m/data/0", array.tobytes())
    return out.getvalue()


def onnx_of(array: Any, location: str = "") -> bytes:
    inline = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[COUNT], raw_data=array.tobytes())
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=location)
    tensors = [inline, outside] if location else [inline]
    return bytes(helper.make_model(helper.make_graph([], "g", [], [], tensors)).SerializeToString())


def gguf(array: Any, count: int = 1, name: int = 1, offset: int = 0) -> bytes:
    head = HEAD + struct.pack("<QQ", count, 0) + struct.pack("<Q", name) + b"w"
    head += struct.pack("<IQIQ", 1, COUNT, 0, offset)
    return bytes(head + bytes(-len(head) % 32) + array.tobytes())


BROKEN: dict[str, tuple[tuple[bytes, bytes], str]] = {
    "tensors that overlap": (both(lambda a: weights(a.tobytes(), w=row(), v=row())), "tensor 'v' overlaps"),
    "a tensor out of range": (
        both(lambda a: weights(a.tobytes(), w=row(0, 2 * SIZE, shape=[2 * COUNT]))),
        "the file has",
    ),
    "a gigantic header": (both(lambda a: (90 << 20).to_bytes(8, "little") + b"{}" + a.tobytes()), "the header has"),
    "a header beyond all bounds": (both(lambda a: (1 << 62).to_bytes(8, "little") + b"{}" + a.tobytes()), "is known"),
    "a gigantic shape": (both(lambda a: weights(a.tobytes(), w=row(shape=[1 << 62, 1 << 62]))), "impossible shape"),
    "a negative size": (both(lambda a: weights(a.tobytes(), w=row(shape=[-COUNT]))), "no lists of whole numbers"),
    "a negative place": (both(lambda a: weights(a.tobytes(), w=row(-SIZE, 0))), "no lists of whole numbers"),
    "duplicate keys": (both(lambda a: file_of(b'{"w":{},"w":{}}', a.tobytes())), "'w' stands twice"),
    "deep JSON": (both(lambda a: file_of(DEEP, a.tobytes())), "unreadable JSON"),
    "bad UTF-8": (both(lambda a: file_of(b'{"\xff":1}', a.tobytes())), "not UTF-8"),
    "a truncated file": (both(lambda a: weights(a.tobytes(), w=row())[:-1]), "the file has"),
    "a truncated header": (
        (weights(FLOATS.tobytes(), w=row()), file_of(b'{"w":' + b" " * 70_000)[:66_000]),
        "the header has",
    ),
    "trailing bytes": (both(lambda a: weights(a.tobytes() + b"x", w=row())), "1 bytes follow the last tensor"),
    "a hole": (both(lambda a: weights(bytes(8) + a.tobytes(), w=row(8, SIZE + 8))), "leaves a hole"),
    "a shape that lies in a member": (
        both(lambda a: npz(a, shape=f"({COUNT + 1},)")),
        "takes 160004 bytes by shape, 160000 are there (at byte",
    ),
    "a truncated checkpoint": (both(lambda a: checkpoint([1, 2], a)[:-30]), "the zip directory is missing"),
    "external data outside": (both(lambda a: onnx_of(a, "../../etc/passwd")), "outside of the model's folder"),
    "GGUF: a gigantic count": (both(lambda a: gguf(a, count=1 << 60)), "tensors are more than a file of"),
    "GGUF: a gigantic name": (both(lambda a: gguf(a, name=1 << 60)), "at most 65536 are read (at byte 24)"),
    "GGUF: a tensor out of range": (both(lambda a: gguf(a, offset=1 << 40)), "tensor 'w' ends at byte"),
    "GGUF: truncated": (both(lambda a: gguf(a)[:-1]), "it is cut short (at byte 160063)"),
}
PATTERNS = np.arange(COUNT, dtype=np.uint32)
ODD: dict[str, tuple[bytes, bytes]] = {
    "NaN payloads": (bits(0x7F800001 + PATTERNS), bits(0xFF800001 + 3 * PATTERNS)),
    "infinities and zeros of both signs": (
        bits(np.array([0, 1 << 31, 0x7F800000], np.uint32)),
        bits(np.array([1 << 31, 0, 0xFF800000], np.uint32)),
    ),
    "subnormals": (bits(1 + PATTERNS), bits((1 << 31) + 2 + PATTERNS)),
    "scalars and empty tensors": both(
        lambda a: weights(
            a.tobytes() + b"scal",
            w=row(),
            s=row(SIZE, SIZE + 4, shape=[]),
            e=row(SIZE + 4, SIZE + 4, shape=[0, 7]),
        )
    ),
    "a shard without tensors": (file_of({"__metadata__": {"n": "1"}}), file_of({"__metadata__": {"n": "2"}})),
    "tensors that are not aligned": both(
        lambda a: weights(b"x" + a.tobytes(), b=row(0, 1, dtype="U8", shape=[1]), w=row(1, SIZE + 1))
    ),
    "GGUF": both(gguf),
    "ONNX": both(onnx_of),
    "a stored member": both(npz),
    "a deflated member": both(lambda a: npz(a, zipfile.ZIP_DEFLATED)),
    "a bomb": (bomb(), bomb(1)),
    "a pickle that would run something": both(lambda a: checkpoint({"weights": Evil(str(MADE)), "epoch": 3}, a)),
}
EVERYTHING = {name: pair for name, (pair, _) in BROKEN.items()} | ODD | {"nothing": (b"x", b"")}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.pool.shutdown()


@pytest.mark.parametrize("name", EVERYTHING)
def test_bytes_in_are_bytes_out(name: str, hub: Hub, tmp_path: Path) -> None:
    """Packed and unpacked in a clone, and sent to a hub, each against the version before."""
    old, new = EVERYTHING[name]
    clone = CloneStore(tmp_path)
    oids = list(dict.fromkeys(clone.add(each) for each in (old, new)))
    clone.pack(*oids)
    clone.check()
    for oid in clone.packed():
        unpack(clone.store, oid, clone.store.packs)
        assert Path(clone.store.path(oid)).read_bytes() == clone.contents[oid]
    if new and old != new:
        hub.push(old)
        hub.push(new, (old,))
        assert (hub.get(old), hub.get(new)) == (old, new)


def opened(path: Path) -> Model:
    return open_model(str(path), lambda _: None)


@pytest.mark.parametrize("name", BROKEN)
def test_inspect_and_diff_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    (_, data), words = BROKEN[name]
    (tmp_path / "bad").write_bytes(data)
    (tmp_path / "good").write_bytes(weights(FLOATS.tobytes(), w=row()))
    with pytest.raises(BadWeights) as told:
        opened(tmp_path / "bad")
    assert "'bad': " in told.value.message
    assert words in told.value.message
    for old, new in (("good", "bad"), ("bad", "good")):
        with pytest.raises(BadWeights) as told:
            compare_files(str(tmp_path / old), str(tmp_path / new), lambda _: None, "model")
        assert words in told.value.message


CHANGED = {
    "a shard without tensors": [],
    "ONNX": ["v"],
    "a pickle that would run something": [],
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_merely_odd_is_read(name: str, tmp_path: Path) -> None:
    for side, data in zip(("old", "new"), ODD[name], strict=True):
        (tmp_path / side).write_bytes(data)
    tracemalloc.start()
    with opened(tmp_path / "new") as model:
        assert inspect(model).size == len(ODD[name][1])
    found = compare_files(str(tmp_path / "old"), str(tmp_path / "new"), lambda _: None, "model")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert not MADE.exists()
    changes = found.tensors.changes
    assert [(each.kind, each.new and each.new.name) for each in changes] == [
        ("changed", tensor) for tensor in CHANGED.get(name, ["w"])
    ]
    for each in changes:
        assert each.statistics is not None
        assert (each.statistics.changed, each.statistics.units) == (
            (1 << 18, 25 << 20) if name == "a bomb" else (COUNT, COUNT)
        )
        assert each.statistics.new_nan == (COUNT if name == "NaN payloads" else 0)
