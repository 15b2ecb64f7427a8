"""ONNX: models that the official library made; external data stays in its folder."""

from __future__ import annotations

import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hundredweight.formats.recognise import recognise
from hundredweight.formats.source import BytesSource
from tests.formats.reading import NUMPY_TYPES, as_plain, fault_of, tensors_of, weights_of


def model_of(*tensors: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "net", [], [], initializer=list(tensors))
    made = helper.make_model(
        graph, producer_name="maker", producer_version="1.2", opset_imports=[helper.make_opsetid("", 17)]
    )
    helper.set_model_props(made, {"author": "somebody"})
    return made


def test_initializers_of_all_types() -> None:
    rng = np.random.default_rng(3)
    arrays = {name: rng.integers(0, 2, (2, 3)).astype(name) for name in NUMPY_TYPES}
    arrays["scalar"] = np.array(2.5, dtype=np.float32)
    arrays["empty"] = np.zeros((0, 3), dtype=np.float32)
    data = model_of(*(numpy_helper.from_array(array, name) for name, array in arrays.items())).SerializeToString()
    assert tensors_of(data) == as_plain(arrays, NUMPY_TYPES)
    found = weights_of(data)
    assert found.format == "onnx"
    assert found.metadata["producer_name"] == "maker"
    assert found.metadata["opset"] == {"ai.onnx": 17}
    assert found.metadata["metadata.author"] == "somebody"


@pytest.mark.parametrize(
    "name", ["float32", "float64", "int64", "int32", "int8", "uint16", "bool", "float16", "uint64", "complex64"]
)
@pytest.mark.parametrize("count", [0, 1, 6])
def test_typed_lists(name: str, count: int) -> None:
    array = np.arange(-2, count - 2).astype(name) if name[0] in "fic" else np.arange(count).astype(name)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    made = helper.make_tensor("w", kind, array.shape, array.tolist())
    assert not made.HasField("raw_data")
    assert tensors_of(model_of(made).SerializeToString()) == as_plain({"w": array}, NUMPY_TYPES)


def test_packed_and_small_types() -> None:
    four = helper.make_tensor("four", TensorProto.INT4, (3,), [1, -2, 3])
    half = helper.make_tensor("half", TensorProto.BFLOAT16, (2,), [1.0, -2.0])
    found = tensors_of(model_of(four, half).SerializeToString())
    assert found == {"four": ("I4", (3,), b"\xe1\x03"), "half": ("BF16", (2,), b"\x80\x3f\x00\xc0")}


def test_constants_and_subgraphs() -> None:
    weight = numpy_helper.from_array(np.ones(2, dtype=np.float32), "w")
    inner = helper.make_graph([], "then", [], [], initializer=[weight])
    branch = helper.make_node("If", ["c"], ["out"], name="choose", then_branch=inner, else_branch=inner)
    constant = helper.make_node("Constant", [], ["k"], value=weight)
    found = tensors_of(model_of(weight, nodes=(constant, branch)).SerializeToString())
    assert set(found) == {"w", "k", "out.then_branch/w", "out.else_branch/w"}


def external(location: str, offset: str = "0", length: str = "8") -> bytes:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        made.external_data.add(key=key, value=value)
    return bytes(model_of(made).SerializeToString())


def test_external_data() -> None:
    (found,) = weights_of(external("weights/model.data", "4096")).tensors
    assert (found.file, found.start, found.end) == ("weights/model.data", 4096, 4104)


@pytest.mark.parametrize("location", ["/etc/passwd", "../x", "a/../../x", "", "c:\\x"])
def test_external_data_stays_in_its_folder(location: str) -> None:
    assert "outside of the model's folder" in fault_of(external(location))


def test_tensors_that_lie() -> None:
    assert "is no offset or length" in fault_of(external("w", offset="-1"))
    assert "its external data 9" in fault_of(external("w", length="9"))
    short = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], raw_data=bytes(8))
    assert "takes 12 bytes by shape, 8 are there" in fault_of(model_of(short).SerializeToString())
    few = TensorProto(name="w", data_type=TensorProto.INT64, dims=[3], int64_data=[1, 2])
    assert "another number of elements" in fault_of(model_of(few).SerializeToString())
    negative = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1], raw_data=bytes(8))
    assert "impossible shape" in fault_of(model_of(negative).SerializeToString())
    odd = TensorProto(name="w", data_type=99, dims=[1], raw_data=bytes(8))
    assert "unknown type 99" in fault_of(model_of(odd).SerializeToString())
    many = TensorProto(name="w", data_type=1, dims=[1] * 65, raw_data=bytes(4))
    assert "more than 64 dimensions" in fault_of(model_of(many).SerializeToString())
    one = numpy_helper.from_array(np.ones(2), "w")
    assert "two tensors are called 'w'" in fault_of(model_of(one, one).SerializeToString())


def test_texts_are_noted_and_left_out() -> None:
    found = weights_of(
        model_of(TensorProto(name="t", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"])).SerializeToString()
    )
    assert found.tensors == ()
    assert "'t' holds texts" in found.notes[0]


def test_subgraphs_without_end() -> None:
    data = b""
    for _ in range(40):
        attribute = b"\x0a\x01g" + b"\x32" + _varint(len(data)) + data
        node = b"\x2a" + _varint(len(attribute)) + attribute
        data = b"\x0a" + _varint(len(node)) + node
    assert "subgraphs nested more than" in fault_of(b"\x08\x08\x3a" + _varint(len(data)) + data)


@pytest.mark.parametrize("data", [b"", b"\x08\x08", b"hello world", b"\x08" * 50, struct.pack("<Q", 8) * 8, b"{}" * 20])
def test_what_is_not_onnx(data: bytes) -> None:
    assert recognise(BytesSource(data)) is None


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
