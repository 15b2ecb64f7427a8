"""PyTorch files: what torch wrote is read as torch reads it; pickles are walked and never run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hundredweight.formats import pytorch
from hundredweight.formats.picklewalk import Global, Opaque, is_harmless, walk
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import ArrayHead
from tests.formats.reading import fault_of, tensors_of, training_arguments, weights_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["types", "protocol4", "lightning", "scripted"])
def test_what_torch_wrote(name: str) -> None:
    """The twins hold what torch itself loaded from its files."""
    found = tensors_of((GOLDEN / f"{name}.pt").read_bytes())
    assert found == tensors_of((GOLDEN / f"{name}.safetensors").read_bytes())
    assert found


def test_views_are_not_plain() -> None:
    tensors = {t.name: t for t in weights_of((GOLDEN / "types.pt").read_bytes()).tensors}
    assert not any(tensors[name].plain for name in ("transposed", "slice", "expanded"))
    assert (tensors["tied"].start, tensors["tied"].end) == (tensors["float32"].start, tensors["float32"].end)


def test_facts_of_a_training() -> None:
    found = weights_of((GOLDEN / "lightning.pt").read_bytes())
    assert found.metadata["epoch"] == 3
    assert found.metadata["pytorch-lightning_version"] == "2.4.0"
    assert found.metadata["hyper_parameters.args.batch_size"] == 8
    assert found.metadata["optimizer_states.0.param_groups.0.betas"] == [0.9, 0.999]
    assert found.notes == ()
    assert weights_of((GOLDEN / "scripted.pt").read_bytes()).metadata["archive.scripted"] is True


def test_the_old_format_is_refused_with_a_way_out() -> None:
    with pytest.raises(FormatError, match=r"before version 1\.6") as caught:
        weights_of((GOLDEN / "legacy.pt").read_bytes())
    assert "weights_only=True" in caught.value.hint


class Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def archive(pickled: bytes, members: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("m/data.pkl", pickled)
        for name, content in (members or {}).items():
            made.writestr(f"m/{name}", content)
    return out.getvalue()


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    data = archive(pickle.dumps({"weights": Evil(str(target)), "epoch": 3}))
    found = weights_of(data)
    assert not target.exists()
    assert "posix.mkdir" in found.notes[0]
    assert found.metadata["epoch"] == 3


class _Storage:
    """Pickled as torch pickles a reference to a storage."""

    def __init__(self, *key: object) -> None:
        self.key = key


_Python: Any = vars(pickle)["_Pickler"]


class _Pickler(_Python):  # type: ignore[misc]
    def persistent_id(self, found: object) -> object:
        return found.key if isinstance(found, _Storage) else None

    def save_global(self, found: Any, name: str | None = None) -> None:
        if isinstance(found, _Name):
            self.write(pickle.GLOBAL + f"{found.module}\n{found.name}\n".encode())
            self.memoize(found)

    def save_call(self, call: Any) -> None:
        self.save_global(call.maker)
        self.save(call.args)
        self.write(pickle.REDUCE)

    dispatch: ClassVar[dict[Any, Any]] = dict(_Python.dispatch)


class _Name:
    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Call:
    def __init__(self, maker: _Name, *args: object) -> None:
        self.maker, self.args = maker, args


_Pickler.dispatch[_Name] = _Pickler.save_global
_Pickler.dispatch[_Call] = _Pickler.save_call
FLOATS = _Name("torch", "FloatStorage")


def dump(value: object) -> bytes:
    out = io.BytesIO()
    _Pickler(out, 2).dump(value)
    return out.getvalue()


def view(
    offset: object, shape: object, strides: object, *, kind: object = FLOATS, number: object = "0", marks: object = None
) -> _Call:
    storage = _Storage("storage", kind, number, "cpu", 4)
    return _Call(_Name("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False, {}, marks)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_view_of_a_storage(method: int) -> None:
    data = archive(dump({"w": view(1, (3,), (1,)), "v": view(0, (2, 2), (1, 2))}), {"data/0": bytes(range(16))}, method)
    assert tensors_of(data) == {
        "w": ("F32", (3,), bytes(range(4, 16))),
        "v": ("F32", (2, 2), bytes([0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15])),
    }


def test_big_endian_storages() -> None:
    data = archive(dump({"w": view(0, (2,), (1,))}), {"data/0": bytes(range(16)), "byteorder": b"big"})
    assert tensors_of(data) == {"w": ("F32", (2,), bytes([3, 2, 1, 0, 7, 6, 5, 4]))}


def test_tensors_inside_of_what_is_not_known() -> None:
    """A sparse tensor's parts, a wrapper's inner tensor, a state that is no dict: nothing is left out silently."""
    sparse = _Call(
        _Name("torch._utils", "_rebuild_sparse_tensor"), "layout", (view(0, (1,), (1,)), view(1, (2,), (1,)), 5)
    )
    wrapped = _Call(_Name("torch._utils", "_rebuild_parameter"), view(3, (1,), (1,)), True, {})
    found = weights_of(
        archive(dump({"s": sparse, "p": wrapped, "n": 1 << 20000, 1 << 20000: 2}), {"data/0": bytes(16)})
    )
    assert {tensor.name: tensor.shape for tensor in found.tensors} == {"s.1.0": (1,), "s.1.1": (2,), "p": (1,)}
    assert found.metadata["n"] == "a number of 20001 bits"
    assert found.metadata["a number of 20001 bits"] == 2


def wrappers() -> object:
    made = view(0, (1,), (1,))
    for _ in range(150):
        made = _Call(_Name("torch._utils", "_rebuild_parameter"), made)
    return {"w": made}


def cyclic() -> object:
    made: dict[str, object] = {}
    made["again"] = made
    return made


def explosion() -> object:
    made: list[object] = [view(0, (1,), (1,))]
    for _ in range(30):
        made = [made, made]
    return made


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"w": view(2, (3,), (1,))}, "reaches beyond its storage"),
        ({"w": view(0, (2,), (1 << 60,))}, "reaches beyond its storage"),
        ({"w": view(0, (1 << 40, 1 << 40), (0, 0))}, "impossible shape"),
        ({"w": view(0, (2,), (-1,))}, "no numbers"),
        ({"w": view(-1, (2,), (1,))}, "reaches beyond its storage"),
        ({"w": view(0, "ab", (1,))}, "no numbers"),
        ({"w": view(0, (2,), (1,), number="7")}, "which the file lacks"),
        ({"w": view(0, (2,), (1,), kind=_Name("torch", "OddStorage"))}, "storage of unknown type"),
        ({"w": _Call(_Name("torch._utils", "_rebuild_tensor_v2"), 1, 2, 3, 4)}, "without a storage"),
        ({"w": view(0, (2,), (1,), marks={"conj": True})}, "conjugated or negated"),
        (cyclic(), "nested without end"),
        (wrappers(), "nested without end"),
        ({"k" * 40_000: {"k" * 40_000: 1}}, "nested without end"),
        (explosion(), "nested without end"),
    ],
)
def test_tensors_that_lie(value: object, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "MAX_VISITED", 1 << 12)
    assert fault in fault_of(archive(dump(value), {"data/0": bytes(16)}))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "exhausted"),
        (b"N", "exhausted"),
        (b".", "stack is empty"),
        (b"u.", "a mark is missing"),
        (b"h\x05.", "damaged"),
        (b"K\x01K\x02a.", "appends to what is no list"),
        (b"}(K\x01u.", "a key has no value"),
        (b"\x82\x01.", "opcode EXT1 is not read"),
        (b"I9" + b"9" * 5000 + b"\n.", "damaged"),
        (b"S'\\_'\n", "exhausted"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "damaged"),
    ],
)
def test_pickles_that_lie(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=fault):
        walk(data)


def test_a_walk_keeps_what_it_does_not_know() -> None:
    value = walk(pickle.dumps({"a": [1, 2.5, b"x", None, True, (1, 2, 3, 4)], ("k", "l"): {3}, "e": Evil("x")})).value
    assert isinstance(value, dict)
    assert value["a"] == [1, 2.5, b"x", None, True, (1, 2, 3, 4)]
    assert isinstance(value["e"], Opaque)
    assert value["e"].maker == Global("posix", "mkdir")
    assert [key.args for key in value if isinstance(key, Opaque)] == [("k", "l")]


@pytest.mark.parametrize(
    ("module", "name", "harmless"),
    [
        ("torch", "FloatStorage", True), ("torch", "bfloat16", True), ("torch", "load", False), ("torch", "float8_e4m3fn", True),
        ("torch._utils", "_rebuild_tensor_v2", True), ("torch.hub", "load", False), ("builtins", "eval", False),
        ("collections", "OrderedDict", True), ("__torch__.torch.nn", "Linear", True), ("builtins", "getattr", False),
        ("__builtin__", "list", True), ("__builtin__", "eval", False),
        ("torch.serialization", "_get_layout", True), ("torch.serialization", "load", False),
    ],
)  # fmt: skip
def test_which_globals_are_harmless(module: str, name: str, harmless: bool) -> None:
    assert is_harmless(module, name) is harmless


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "MAX_PICKLE", 1 << 20)
    bomb = archive(b"\x80\x02" + b"N" * (2 << 20) + b".", method=zipfile.ZIP_DEFLATED)
    assert "at most" in fault_of(bomb)
    many = weights_of(archive(dump({"ids": list(range(1000)), "text": "x" * 5000})))
    assert many.metadata["ids"] == ArrayHead(1000, tuple(range(8)))
    assert len(str(many.metadata["text"])) == 1000


@pytest.mark.full
def test_torch_itself_agrees(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    wanted = {}
    for kind in (torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.complex64):
        for shape in ((), (0,), (3,), (2, 3, 4)):
            wanted[f"{kind}{shape}"] = (
                torch.arange(24)[: max(1, int(torch.Size(shape).numel()))]
                .to(kind)[: torch.Size(shape).numel()]
                .reshape(shape)
            )
    torch.save(wanted, tmp_path / "m.pt")
    found = tensors_of((tmp_path / "m.pt").read_bytes())
    assert {name: entry[2] for name, entry in found.items()} == {
        name: bytes(value.contiguous().reshape(-1).view(torch.uint8).numpy()) if value.numel() else b""
        for name, value in wanted.items()
    }


class Strategy(StrEnum):
    STEPS = "steps"


class TrainingArguments:
    """As transformers' own: a class that is not here when the file is read, with members of enumerations."""

    def __init__(self) -> None:
        self.output_dir = "out"
        self.learning_rate = 3e-4
        self.strategy = Strategy.STEPS
        self.optimizer: dict[str, object] = {"betas": (0.9, 0.999), "fused": True}
        self.deepspeed = None


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arguments_of_a_training_are_facts(protocol: int) -> None:
    found = weights_of(training_arguments(TrainingArguments(), protocol))
    assert found.tensors == ()
    assert found.metadata == {
        "archive.version": "3",
        "archive.scripted": False,
        "archive.class": f"{__name__}.TrainingArguments",
        "output_dir": "out",
        "learning_rate": 3e-4,
        "strategy": "steps",
        "optimizer.betas": [0.9, 0.999],
        "optimizer.fused": True,
        "deepspeed": None,
    }
    assert sorted(found.notes) == [
        f"the pickle names {__name__}.{name}, which is not on PyTorch's list of safe globals"
        for name in ("Strategy", "TrainingArguments")
    ]


def test_evil_arguments_are_read_and_not_run(tmp_path: Path) -> None:
    arguments = TrainingArguments()
    arguments.optimizer = {"evil": Evil(str(tmp_path / "made"))}
    found = weights_of(training_arguments(arguments))
    assert any("mkdir" in note for note in found.notes)
    assert "strategy" in found.metadata
    assert not (tmp_path / "made").exists()
