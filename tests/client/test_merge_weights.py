"""Merging files of each format: the official libraries read what was written, and nothing but what should changes."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from gguf import GGUFReader, GGUFWriter
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load, save

from hundredweight.base.files import AtomicFile
from hundredweight.client.merge import Merged, merge_files
from hundredweight.client.merge_plan import Conflict
from hundredweight.client.merge_rules import MergeRules, parse_rules
from hundredweight.client.merge_weights import MergeConflict, MergeDamaged, NotMergeable, plan, read_versions, write
from hundredweight.client.weight_files import BadWeights, CannotOpen, open_file
from hundredweight.formats import recognise
from hundredweight.formats.source import BytesSource
from tests.formats.reading import tensors_of, weights_of

GOLDEN = Path(__file__).parents[1] / "formats" / "golden"
NONE = MergeRules()
Arrays = dict[str, Any]


def full(value: float, dtype: Any = np.float32, shape: tuple[int, ...] = (3, 4)) -> Any:
    return np.full(shape, value, dtype)


BASE: Arrays = {"a": full(1), "b": full(2), "n": full(3, np.int64, (2,))}
OURS: Arrays = {**BASE, "a": full(10)}
THEIRS: Arrays = {**BASE, "b": full(20)}
BOTH: Arrays = {**BASE, "a": full(10), "b": full(20)}


def merged(folder: Path, base: bytes, ours: bytes, theirs: bytes, rules: MergeRules = NONE) -> tuple[bytes, Merged]:
    for name, data in (("base", base), ("ours", ours), ("theirs", theirs)):
        (folder / name).write_bytes(data)
    outcome = merge_files(
        str(folder / "base"), str(folder / "ours"), str(folder / "theirs"), str(folder / "out"), rules
    )
    assert sorted(os.listdir(folder)) == ["base", "ours", "out", "theirs"]
    return (folder / "out").read_bytes(), outcome


def conflicts(folder: Path, base: bytes, ours: bytes, theirs: bytes, rules: MergeRules = NONE) -> list[Conflict]:
    with pytest.raises(MergeConflict) as caught:
        merged(folder, base, ours, theirs, rules)
    assert not (folder / "out").exists()
    return caught.value.conflicts


def equal(found: Arrays, expected: Arrays) -> bool:
    return sorted(found) == sorted(expected) and all(
        found[name].dtype == expected[name].dtype and np.array_equal(found[name], expected[name]) for name in expected
    )


# safetensors


def test_safetensors(tmp_path: Path) -> None:
    data, outcome = merged(tmp_path, save(BASE), save(OURS), save(THEIRS))
    assert data == save(BOTH)
    assert (outcome.changed, outcome.computed) == (1, 0)


def test_one_side_alone_gives_its_very_file(tmp_path: Path) -> None:
    odd = b" " + save(OURS)[8:]
    header = int.from_bytes(save(OURS)[:8], "little")
    text = save(OURS)[8 : 8 + header].rstrip() + b"  "
    odd = len(text).to_bytes(8, "little") + text + save(OURS)[8 + header :]
    assert merged(tmp_path, save(BASE), odd, save(BASE))[0] == odd
    (tmp_path / "out").unlink()
    assert merged(tmp_path, save(BASE), save(BASE), odd)[0] == odd
    (tmp_path / "out").unlink()
    both = merged(tmp_path, save(BASE), odd, save(THEIRS))[0]
    assert both[: 8 + len(text)] == odd[: 8 + len(text)]
    assert equal(load(both), BOTH)


def in_order(arrays: Arrays, header: list[str], data: list[str]) -> bytes:
    offsets, body = {}, b""
    for name in data:
        offsets[name] = [len(body), len(body) + arrays[name].nbytes]
        body += arrays[name].tobytes()
    types = {"float32": "F32", "int64": "I64", "uint8": "U8"}
    entries = {
        n: {"dtype": types[arrays[n].dtype.name], "shape": arrays[n].shape, "data_offsets": offsets[n]} for n in header
    }
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_orders_of_header_and_data_are_kept_and_additions_come_last(tmp_path: Path) -> None:
    base = in_order(BASE, ["b", "n", "a"], ["n", "a", "b"])
    ours = in_order(OURS, ["b", "n", "a"], ["n", "a", "b"])
    theirs = in_order(
        {**THEIRS, "0": full(7), "z": full(5, np.uint8, (3,)), "w": full(6, np.int64)}, [*"0abnzw"], [*"nw0abz"]
    )
    data = merged(tmp_path, base, ours, theirs)[0]
    weights = weights_of(data)
    assert [tensor.name for tensor in weights.tensors] == ["b", "n", "a", "0", "z", "w"]
    assert [t.name for t in sorted(weights.tensors, key=lambda t: t.start)] == ["n", "w", "a", "b", "0", "z"]
    assert all((t.start) % {"I64": 8, "F32": 4, "U8": 1}[t.dtype] == 0 for t in weights.tensors)
    assert equal({name: load(data)[name] for name in "abn0zw"}, {
        **BOTH, "0": full(7), "z": full(5, np.uint8, (3,)), "w": full(6, np.int64),
    })  # fmt: skip


def test_removed_renamed_and_reshaped(tmp_path: Path) -> None:
    ours = {"renamed": BASE["a"], "b": BASE["b"], "n": BASE["n"]}
    theirs = {"a": full(9), "b": full(2, np.float32, (5, 4))}
    data = merged(tmp_path, save(BASE), save(ours), save(theirs))[0]
    assert equal(dict(sorted(load(data).items())), {"b": theirs["b"], "renamed": theirs["a"]})


def test_metadata_of_safetensors(tmp_path: Path) -> None:
    base, ours, theirs = (
        save(arrays, {"format": "pt", key: value})
        for arrays, key, value in ((BASE, "step", "1"), (OURS, "step", "2"), (THEIRS, "é", "x"))
    )
    # Theirs dropped `step`, which ours changed: a conflict, as for tensors.
    assert conflicts(tmp_path, base, ours, theirs) == [Conflict("__metadata__.step", "changed on both sides")]
    data, outcome = merged(tmp_path, base, ours, theirs, MergeRules("average"))
    assert weights_of(data).metadata == {"format": "pt", "step": "2", "é": "x"}
    assert outcome.kept == ["step"]
    assert equal(load(data), BOTH)


def test_a_conflict_writes_nothing(tmp_path: Path) -> None:
    theirs = {**THEIRS, "a": full(30), "n": full(4, np.int64, (2,))}
    ours = {**OURS, "n": full(5, np.int64, (2,))}
    assert conflicts(tmp_path, save(BASE), save(ours), save(theirs)) == [
        Conflict("n", "changed on both sides"),
        Conflict("a", "changed on both sides"),
    ]
    assert conflicts(tmp_path, save(BASE), save(ours), save(theirs), MergeRules("average")) == [
        Conflict("n", "changed on both sides, and type I64 has no average")
    ]
    rules = parse_rules("average", ["n=theirs"], "here")
    data, outcome = merged(tmp_path, save(BASE), save(ours), save(theirs), rules)
    assert equal(dict(sorted(load(data).items())), {"a": full(20), "b": full(20), "n": theirs["n"]})
    assert (outcome.changed, outcome.computed) == (3, 1)


def test_large_tensors_are_computed_in_pieces(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    base, ours, theirs = (
        {"w": random.standard_normal(3_000_001).astype(np.float32), "x": full(1), "y": full(2)} for _ in range(3)
    )
    data = merged(tmp_path, save(base), save(ours), save(theirs), MergeRules("sum"))[0]
    exact = ours["w"].astype(np.float64) + (theirs["w"].astype(np.float64) - base["w"].astype(np.float64))
    assert np.array_equal(load(data)["w"], exact.astype(np.float32))


# NumPy


def npz(arrays: Arrays, compressed: bool = False) -> bytes:
    target = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(target, **arrays)
    return target.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_npz(tmp_path: Path, compressed: bool) -> None:
    ours = {**OURS, "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">i4")}
    data = merged(tmp_path, npz(BASE, compressed), npz(ours, compressed), npz({**THEIRS, "new": full(7)}, compressed))[
        0
    ]
    with np.load(io.BytesIO(data)) as found:
        assert equal(dict(found), {**BOTH, "f": ours["f"], "big": ours["big"], "new": full(7)})
        assert found["f"].flags.f_contiguous
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        assert {info.compress_type for info in archive.infolist()} == {method}


def test_npz_computed_and_renamed(tmp_path: Path) -> None:
    ours, theirs = {**OURS, "b": full(4)}, {"a": full(1), "b": full(20), "renamed": BASE["n"]}
    data = merged(tmp_path, npz(BASE), npz(ours), npz(theirs), MergeRules("sum"))[0]
    with np.load(io.BytesIO(data)) as found:
        assert equal(dict(found), {"a": full(10), "b": full(22), "renamed": BASE["n"]})


def test_an_npz_with_a_wrong_checksum(tmp_path: Path) -> None:
    theirs = npz(THEIRS)
    with zipfile.ZipFile(io.BytesIO(theirs)) as archive:
        checksum = archive.getinfo("b.npy").CRC.to_bytes(4, "little")
    with pytest.raises(BadWeights, match="Bad CRC-32"):
        merged(tmp_path, npz(BASE), npz(OURS), theirs.replace(checksum, bytes(4)))
    assert not (tmp_path / "out").exists()


def npy(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def test_npy(tmp_path: Path) -> None:
    base, ours, theirs = full(1), np.asfortranarray(full(2)), full(4).astype(">f4")
    assert conflicts(tmp_path, npy(base), npy(ours), npy(theirs)) == [Conflict("arr_0", "changed on both sides")]
    data = merged(tmp_path, npy(base), npy(ours), npy(theirs), MergeRules("average"))[0]
    assert data == npy(full(3))
    (tmp_path / "out").unlink()
    assert merged(tmp_path, npy(base), npy(ours), npy(theirs), MergeRules("theirs"))[0] == npy(theirs)


# GGUF


def gguf(folder: Path, arrays: Arrays, **facts: str) -> bytes:
    path = folder.parent / f"{folder.name}.gguf"
    writer = GGUFWriter(str(path), "llama")
    for key, value in facts.items():
        writer.add_string(f"general.{key}", value)
    for name, array in arrays.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def test_gguf(tmp_path: Path) -> None:
    def made(arrays: Arrays, **facts: str) -> bytes:
        return gguf(tmp_path, arrays, **facts)

    data = merged(tmp_path, made(BASE, name="x"), made(OURS, name="x"), made(THEIRS, name="longer name"))[0]
    assert data == made(BOTH, name="longer name")
    (tmp_path / "file").write_bytes(data)
    reader = GGUFReader(str(tmp_path / "file"))
    assert {t.name: float(t.data.flat[0]) for t in reader.tensors} == {"a": 10, "b": 20, "n": 3}
    for name in ("out", "file"):
        (tmp_path / name).unlink()
    added = {**THEIRS, "new": full(7, np.float16)}
    assert merged(tmp_path, made(BASE), made(OURS), made(added))[0] == made({**added, "a": full(10)})


def test_gguf_whose_structure_both_sides_changed(tmp_path: Path) -> None:
    base, ours, theirs = (gguf(tmp_path, a, name=n) for a, n in ((BASE, "x"), (OURS, "y"), (THEIRS, "z")))
    assert conflicts(tmp_path, base, ours, theirs) == [Conflict("__metadata__", "changed on both sides: general.name")]
    data, outcome = merged(tmp_path, base, ours, theirs, MergeRules("average"))
    assert data == gguf(tmp_path, BOTH, name="y")
    assert outcome.kept == ["__metadata__"]
    (tmp_path / "out").unlink()
    assert merged(tmp_path, base, ours, theirs, parse_rules("", ["__metadata__=theirs"], ""))[0] == gguf(
        tmp_path, BOTH, name="z"
    )
    (tmp_path / "out").unlink()
    grown, other = (gguf(tmp_path, {**BASE, name: full(7)}) for name in ("c", "d"))
    with pytest.raises(NotMergeable, match="gguf files are merged only where one side's structure holds"):
        merged(tmp_path, gguf(tmp_path, BASE), grown, other, MergeRules("ours"))


# ONNX


def model(arrays: Arrays, *, raw: bool = True, doc: str = "") -> bytes:
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    if not raw:
        tensors = [
            helper.make_tensor(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape, a) for n, a in arrays.items()
        ]
    made = helper.make_model(helper.make_graph([], "g", [], [], tensors), doc_string=doc)
    return bytes(made.SerializeToString())


def test_onnx(tmp_path: Path) -> None:
    data = merged(tmp_path, model(BASE), model(OURS, doc="new"), model(THEIRS))[0]
    assert data == model(BOTH, doc="new")
    onnx.checker.check_model(onnx.load_from_string(data))


def test_onnx_in_lists(tmp_path: Path) -> None:
    """Floats in a list are plain bytes; integers are varints, whose length depends on their value."""
    base, ours, theirs, both = (model(arrays, raw=False) for arrays in (BASE, OURS, THEIRS, BOTH))
    assert merged(tmp_path, base, ours, theirs)[0] == both
    (tmp_path / "out").unlink()
    changed = model({**THEIRS, "n": full(5, np.int64, (2,))}, raw=False)
    (conflict,) = conflicts(tmp_path, base, ours, changed)
    assert (conflict.name, "cannot be written in place" in conflict.reason) == ("n", True)


def test_onnx_external_data_stays_where_it_is(tmp_path: Path) -> None:
    def external(value: float) -> bytes:
        loaded = onnx.load_from_string(model({**BASE, "a": full(value)}))
        out = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
        out.external_data.add(key="location", value="m.data")
        loaded.graph.initializer.append(out)
        return bytes(loaded.SerializeToString())

    data = merged(tmp_path, external(1), external(2), external(4), MergeRules("average"))[0]
    assert data == external(3)


# PyTorch


def patched(path: Path, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A checkpoint as torch would have written it with other numbers: one tensor's bytes changed, checksums right."""
    data = bytearray(path.read_bytes())
    tensor = next(t for t in weights_of(bytes(data)).tensors if t.name == name)
    data[tensor.start : tensor.end] = change(bytes(data[tensor.start : tensor.end]))
    return rezipped(bytes(data))


def rezipped(data: bytes) -> bytes:
    """The same records, packed by Python's zipfile, and another id as torch gives each file."""
    target = io.BytesIO()
    source = io.BytesIO(data)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            start = info.header_offset + 30
            skip = int.from_bytes(data[start - 4 : start - 2], "little") + int.from_bytes(
                data[start - 2 : start], "little"
            )
            content = data[start + skip : start + skip + info.file_size]
            new.writestr(info.filename, os.urandom(40) if info.filename.endswith("serialization_id") else content)
    return target.getvalue()


def test_pytorch(tmp_path: Path) -> None:
    path = GOLDEN / "lightning.pt"
    base = path.read_bytes()
    names = [t.name for t in weights_of(base).tensors if t.dtype == "F32" and t.plain and t.nbytes > 8][:2]
    ours = patched(path, names[0], lambda data: bytes(reversed(data)))
    theirs = patched(path, names[1], lambda data: bytes(len(data)))
    for first, second in ((base, theirs), (ours, theirs)):
        data = merged(tmp_path, base, ours if first is ours else patched(path, names[0], lambda d: d[::-1]), second)[0]
        expected = {**tensors_of(ours), names[1]: tensors_of(theirs)[names[1]]}
        assert tensors_of(data) == expected
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
        (tmp_path / "out").unlink()


def test_pytorch_as_torch_wrote_it(tmp_path: Path) -> None:
    """Checksums behind the data, padded headers: torch's own layout, patched in place."""
    path = GOLDEN / "types.pt"
    base = path.read_bytes()
    half = next(t for t in weights_of(base).tensors if t.name == "bfloat16")
    theirs = patched(path, "bfloat16", lambda data: data[2:] + data[:2])
    ours = patched(path, "uint8", lambda data: data[::-1])
    # Ours is the golden file itself with one byte changed, so that its layout is torch's.
    mine = bytearray(base)
    place = next(t for t in weights_of(base).tensors if t.name == "uint8")
    mine[place.start : place.end] = bytes(mine[place.start : place.end])[::-1]
    data = merged(tmp_path, base, bytes(mine), theirs)[0]
    assert len(data) == len(base)
    assert tensors_of(data) == {**tensors_of(ours), "bfloat16": tensors_of(theirs)["bfloat16"]}
    assert data[: half.start] == bytes(mine)[: half.start]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(i for i in archive.infolist() if i.filename.endswith("data/1"))
        assert zlib.crc32(archive.read(member)) == member.CRC
        # Torch writes the checksum behind the data, too.
        assert data[half.end : half.end + 8] == b"PK\x07\x08" + member.CRC.to_bytes(4, "little")


def test_pytorch_tied_and_transposed_tensors(tmp_path: Path) -> None:
    """`tied`, `transposed`, `slice` and others are views of `float32`'s storage: it is written once, and all follow."""
    path = GOLDEN / "types.pt"
    base = path.read_bytes()
    ours = patched(path, "float16", lambda data: bytes(len(data)))
    theirs = patched(path, "float32", lambda data: np.arange(len(data) // 4, dtype="<f4").tobytes())
    data = merged(tmp_path, base, ours, theirs)[0]
    expected = {**tensors_of(theirs), "float16": tensors_of(ours)["float16"]}
    assert tensors_of(data) == expected
    (tmp_path / "out").unlink()
    other = patched(path, "float32", lambda data: np.full(len(data) // 4, 3, "<f4").tobytes())
    averaged = tensors_of(merged(tmp_path, base, other, theirs, MergeRules("average"))[0])
    for name in ("float32", "tied", "transposed", "slice", "parameter"):
        mine, theirs_too, made = (
            np.frombuffer(found[name][2], "<f4") for found in (tensors_of(other), tensors_of(theirs), averaged)
        )
        assert np.array_equal(made, (mine + theirs_too) / 2)
    (tmp_path / "out").unlink()
    with pytest.raises(MergeDamaged, match="has other bytes") as caught:
        merged(tmp_path, base, other, theirs, parse_rules("ours", ["tied=theirs"], "here"))
    assert "shared tensors" in caught.value.hint


def test_a_pytorch_file_whose_facts_both_changed(tmp_path: Path) -> None:
    base = (GOLDEN / "lightning.pt").read_bytes()
    ours, theirs = (rezipped(base.replace(b"2.4.0", text)) for text in (b"2.4.1", b"2.4.2"))
    (conflict,) = conflicts(tmp_path, base, ours, theirs)
    assert conflict == Conflict("__metadata__", "changed on both sides: pytorch-lightning_version")
    assert merged(tmp_path, base, ours, theirs, MergeRules("theirs"))[0] == theirs


# What is no weights, and what goes wrong


def test_what_cannot_be_merged(tmp_path: Path) -> None:
    with pytest.raises(NotMergeable, match="no weight file of a known format"):
        merged(tmp_path, save(BASE), b"text", save(THEIRS))
    with pytest.raises(NotMergeable, match="a safetensors file in ours, and a npz file in theirs"):
        merged(tmp_path, save(BASE), save(OURS), npz(THEIRS))
    with pytest.raises(BadWeights, match=r"out \(theirs\)': .* cut short"):
        merged(tmp_path, save(BASE), save(OURS), save(THEIRS)[:-1])
    with pytest.raises(CannotOpen, match=r"out \(base\)': no such file"):
        merge_files(str(tmp_path / "none"), str(tmp_path / "ours"), str(tmp_path / "ours"), str(tmp_path / "out"), NONE)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CannotOpen, match="no regular file"):
        merge_files(str(tmp_path / "pipe"), str(tmp_path / "ours"), str(tmp_path / "ours"), str(tmp_path / "out"), NONE)
    (tmp_path / "pipe").unlink()
    data = merged(tmp_path, b"", save(OURS), save({**OURS, "c": full(1)}))[0]
    assert equal(load(data), {**OURS, "c": full(1)})


def test_a_result_that_is_not_as_planned_is_never_published(tmp_path: Path) -> None:
    for name, arrays in (("base", BASE), ("ours", OURS), ("theirs", THEIRS)):
        (tmp_path / name).write_bytes(save(arrays))
    base, ours, theirs = (open_file(str(tmp_path / name)) for name in ("base", "ours", "theirs"))
    with read_versions(base, ours, theirs) as versions:
        merge = plan("out", versions, NONE)
        changed = {**THEIRS, "b": full(21)}
        # The disk gives other bytes when they are read a second time.
        (tmp_path / "theirs").write_bytes(save(changed))
        with AtomicFile(str(tmp_path / "out")) as target, pytest.raises(MergeDamaged, match="is not as planned"):
            write(merge, target)
    assert not (tmp_path / "out").exists()


def test_every_golden_file_merges_with_itself(tmp_path: Path) -> None:
    for path in sorted(GOLDEN.glob("*.*")):
        data = path.read_bytes()
        if path.suffix == ".py" or path.name == "legacy.pt":
            continue
        assert recognise.recognise(BytesSource(data)) is not None
        assert merged(tmp_path, data, data, data)[0] == data
