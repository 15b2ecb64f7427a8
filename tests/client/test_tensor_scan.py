"""Laws of the statistics: whatever the type and the bytes, they are those of a plain computation in higher precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client import tensor_scan
from hundredweight.client.tensor_numbers import Scratch, compare, exactly, scheme_of
from hundredweight.client.tensor_scan import Pair, Scanner, Statistics, statistics_of
from hundredweight.client.weight_files import BadWeights, Folder, Model, Part
from hundredweight.codec import kernel
from hundredweight.formats.source import FormatError
from hundredweight.formats.tensors import BITS, BLOCKS, Deflated, Tensor, WeightFile

TYPES: dict[str, Any] = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu, "BOOL": np.uint8, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16,
    "U32": np.uint32, "I32": np.int32, "U64": np.uint64, "I64": np.int64,
}  # fmt: skip
Wide = Any


def values(raw: bytes, dtype: str) -> Wide:
    with np.errstate(all="ignore"):
        return np.frombuffer(raw, TYPES[dtype]).astype(np.longdouble)


def reference(old: bytes, new: bytes, first: str, second: str) -> tuple[int, float | None, float, float | None]:
    """Changed, relative L2, max abs, cosine, the plain way."""
    a, b = values(old, first), values(new, second)
    if first == second:
        width = BITS[first] // 8
        changed = sum(old[i : i + width] != new[i : i + width] for i in range(0, len(old), width))
    else:
        changed = int(np.count_nonzero((a != b) & ~(np.isnan(a) & np.isnan(b))))
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    d = b - a
    aa, bb, dd, ab = (a * a).sum(), (b * b).sum(), (d * d).sum(), (a * b).sum()
    l2 = (0.0 if dd == 0 else None) if aa == 0 else float(np.sqrt(dd / aa))
    cosine = None if aa == 0 or bb == 0 else float(ab / (np.sqrt(aa) * np.sqrt(bb)))
    return changed, l2, float(np.abs(d).max(initial=0)), cosine


def measured(old: bytes, new: bytes, first: str, second: str) -> Statistics:
    schemes = scheme_of(first), scheme_of(second)
    blocks = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    return statistics_of(compare(*blocks, schemes, Scratch(max(len(old), 1))), schemes[0], numeric=True)


@contextmanager
def compiled(choice: kernel.Choice) -> Iterator[None]:
    """With these kernels, whatever this process has loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_choice", choice)
        yield


PLAIN, COMPILED = kernel.Choice(), kernel.Choice()
CHOICES = [PLAIN]
if find_spec("numba") is not None:
    # All of it before the tests, whose time is limited.
    COMPILED.passes(kernel.Kernel.ON, 0)
    import_module("hundredweight.client.compiled_numbers")
    CHOICES.append(COMPILED)


@pytest.fixture(params=CHOICES, ids=["numpy", "kernel"][: len(CHOICES)])
def kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with compiled(request.param):
        yield


def check(old: bytes, new: bytes, first: str, second: str) -> None:
    for choice in CHOICES:
        with compiled(choice):
            check_one(old, new, first, second)


def check_one(old: bytes, new: bytes, first: str, second: str) -> None:
    found, (changed, l2, largest, cosine) = measured(old, new, first, second), reference(old, new, first, second)
    assert found.changed == changed
    assert found.max_abs == pytest.approx(largest, rel=1e-6)
    assert (found.relative_l2 is None) == (l2 is None)
    assert l2 is None or found.relative_l2 == pytest.approx(l2, rel=1e-4, abs=1e-300)
    assert (found.cosine is None) == (cosine is None)
    assert cosine is None or found.cosine == pytest.approx(cosine, abs=1e-5)
    for count, raw, dtype, test in (
        (found.old_nan, old, first, np.isnan), (found.new_nan, new, second, np.isnan),
        (found.old_inf, old, first, np.isinf), (found.new_inf, new, second, np.isinf),
    ):  # fmt: skip
        assert count == np.count_nonzero(test(values(raw, dtype)))


@given(st.sampled_from(sorted(TYPES)), st.data())
def test_any_bytes(dtype: str, data: st.DataObject) -> None:
    width = BITS[dtype] // 8
    count = data.draw(st.integers(0, 12)) * width
    old = data.draw(st.binary(min_size=count, max_size=count))
    new = data.draw(st.one_of(st.just(old), st.binary(min_size=count, max_size=count)))
    check(old, new, dtype, dtype)


@given(
    st.sampled_from(["F64", "F32", "BF16", "F16", "F8_E4M3", "I32", "I8"]), st.integers(-40, 40), st.integers(0, 2**32)
)
def test_a_small_step(dtype: str, magnitude: int, seed: int) -> None:
    """A training step: all elements move a little, at any magnitude."""
    random = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        start = random.standard_normal(500) * 10.0**magnitude
        old = start.astype(TYPES[dtype]).tobytes()
        new = (start + random.standard_normal(500) * 10.0 ** (magnitude - 3)).astype(TYPES[dtype]).tobytes()
    check(old, new, dtype, dtype)


@given(st.sampled_from(["F64", "F32", "BF16", "F16", "I16", "I64"]), st.sampled_from(["F32", "BF16", "F16", "F8_E5M2", "I32"]),
       st.lists(st.floats(-100, 100), max_size=8))  # fmt: skip
def test_a_cast(first: str, second: str, numbers: list[float]) -> None:
    if first != second:
        check(
            np.array(numbers).astype(TYPES[first]).tobytes(),
            np.array(numbers).astype(TYPES[second]).tobytes(),
            first,
            second,
        )


@pytest.mark.parametrize("dtype", [name for name in TYPES if name.startswith("F8")])
def test_all_codes_of_small_floats(dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(exactly(codes, dtype), values(codes.tobytes(), dtype), equal_nan=True)


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_all_codes_of_half_floats(dtype: str) -> None:
    codes = np.arange(65536, dtype=np.uint16).view(np.uint8)
    assert np.array_equal(exactly(codes, dtype), values(codes.tobytes(), dtype), equal_nan=True)
    check(codes.tobytes(), np.roll(codes, 2).tobytes(), dtype, dtype)


def test_numbers_whose_squares_do_not_fit_a_double() -> None:
    found = measured(np.array([1e200, 0]).tobytes(), np.array([2e200, 0]).tobytes(), "F64", "F64")
    assert (found.relative_l2, found.max_abs, found.cosine) == (1, 1e200, 1)
    found = measured(np.array([1e-200, 0]).tobytes(), np.array([0, 1e-200]).tobytes(), "F64", "F64")
    assert found.relative_l2 == pytest.approx(math.sqrt(2))
    assert found.cosine == 0


def test_large_integers_are_not_rounded() -> None:
    old, new = np.array([2**62, -(2**63)], np.int64), np.array([2**62 + 1, 2**63 - 1], np.int64)
    assert measured(old[:1].tobytes(), new[:1].tobytes(), "I64", "I64").max_abs == 1
    assert measured(old.tobytes(), new.tobytes(), "I64", "I64").max_abs == 2.0**64


def test_zero_and_its_sign() -> None:
    found = measured(np.zeros(4, np.float32).tobytes(), (-np.zeros(4, np.float32)).tobytes(), "F32", "F32")
    assert (found.changed, found.relative_l2, found.max_abs, found.cosine) == (4, 0, 0, None)
    found = measured(np.zeros(4, np.float32).tobytes(), np.ones(4, np.float32).tobytes(), "F32", "F32")
    assert (found.relative_l2, found.max_abs, found.cosine) == (None, 1, None)


def test_complex_numbers_count_once() -> None:
    old, new = np.array([1 + 1j, 2]), np.array([1 + 2j, 2])
    found = measured(old.tobytes(), new.tobytes(), "C128", "C128")
    assert (found.units, found.changed, found.max_abs) == (2, 1, 1)
    assert found.relative_l2 == pytest.approx(math.sqrt(1 / 6))


# Whole tensors, in files.


def tensor_in(folder: Path, name: str, dtype: str, data: bytes, *, swapped: bool = False) -> tuple[Model, Part, Tensor]:
    """A file that holds one tensor's bytes from its start."""
    (folder / name).write_bytes(data)
    bits = BITS.get(dtype)
    elements = len(data) * 8 // bits if bits else len(data) // BLOCKS[dtype][1] * BLOCKS[dtype][0]
    tensor = Tensor("w", dtype, (elements,), 0, len(data), swapped=swapped)
    part = Part(name, len(data), WeightFile("raw", (tensor,)))
    return Model(name, Folder(str(folder), lambda _: None), (part,)), part, tensor


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 elements, tasks of 256."""
    monkeypatch.setattr(tensor_scan, "_ELEMENTS", 64)
    monkeypatch.setattr(tensor_scan, "SPAN", 256)
    monkeypatch.setattr(tensor_scan, "_SMALL", 0)


@pytest.mark.usefixtures("small_blocks", "kernels")
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F64"])
@pytest.mark.parametrize("changed", [range(0), range(1000), range(999, 1000), range(1), range(300, 420)])
@pytest.mark.parametrize("swapped", [False, True])
def test_blocks_and_threads_make_no_difference(tmp_path: Path, dtype: str, changed: range, swapped: bool) -> None:
    random = np.random.default_rng(1)
    a = random.standard_normal(1000).astype(TYPES[dtype])
    b = a.copy()
    b[changed] += TYPES[dtype](0.5)
    old = tensor_in(tmp_path, "old", dtype, a.byteswap().tobytes() if swapped else a.tobytes(), swapped=swapped)
    new = tensor_in(tmp_path, "new", dtype, b.tobytes())
    told: list[int] = []
    with old[0], new[0], Scanner(advance=told.append) as scanner:
        assert scanner.equal(Pair(old, new)) == (len(changed) == 0)
        found = next(scanner.scan([Pair(old, new)]))
    if not changed:
        assert found is None
        return
    assert found is not None
    count, l2, largest, cosine = reference(a.tobytes(), b.tobytes(), dtype, dtype)
    assert (found.units, found.changed, found.unit) == (1000, count, "elements")
    assert found.relative_l2 == pytest.approx(l2, rel=1e-5)
    assert found.max_abs == pytest.approx(largest)
    assert found.cosine == pytest.approx(cosine, abs=1e-6)
    assert told == [a.nbytes]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -0.0, 1e38, 1e-30, 0.5])
def test_one_odd_number_in_a_long_block(dtype: str, odd: float) -> None:
    """Blocks that are longer than the scratch are compared in parts where one pass does not do."""
    random = np.random.default_rng(2)
    a = random.standard_normal(20_000).astype(np.float32)
    a[::7] = 0
    old, new = a.astype(TYPES[dtype]), (a + random.standard_normal(20_000) * 1e-3).astype(TYPES[dtype])
    new[12_345] = odd
    total = compare(old.view(np.uint8), new.view(np.uint8), (scheme_of(dtype), scheme_of(dtype)), Scratch(20_000))
    with compiled(CHOICES[-1]):
        parts = compare(old.view(np.uint8), new.view(np.uint8), (scheme_of(dtype), scheme_of(dtype)), Scratch(4096))
    changed, l2, largest, cosine = reference(old.tobytes(), new.tobytes(), dtype, dtype)
    for sums in (total, parts):
        found = statistics_of(sums, scheme_of(dtype), numeric=True)
        assert (found.units, found.changed) == (20_000, changed)
        assert found.max_abs == pytest.approx(largest)
        assert found.relative_l2 == pytest.approx(l2, rel=1e-5)
        assert found.cosine == pytest.approx(cosine, abs=1e-7)
        assert (found.new_nan, found.new_inf) == (int(np.isnan(odd)), int(np.isinf(odd)))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("dtype", "unit"), [("Q4_0", "blocks"), ("Q6_K", "blocks"), ("F4", "bytes"), ("U2", "bytes")])
def test_opaque_types_are_counted(tmp_path: Path, dtype: str, unit: str) -> None:
    size = BLOCKS[dtype][1] if dtype in BLOCKS else 1
    data = bytearray(np.random.default_rng(2).bytes(200 * size))
    old = tensor_in(tmp_path, "old", dtype, bytes(data))
    for place in (0, size // 2, 150 * size):
        data[place] ^= 1
    new = tensor_in(tmp_path, "new", dtype, bytes(data))
    with old[0], new[0], Scanner() as scanner:
        found = next(scanner.scan([Pair(old, new)]))
    # Without halves to a byte, two of the three changes are in the first unit, or cancel each other out.
    expected = 2 if size > 1 else 1
    assert found == Statistics(unit, 200, expected, None, None, None)


def test_damage_is_told_where_it_is(tmp_path: Path) -> None:
    old = tensor_in(tmp_path, "old", "F32", bytes(64))
    cut = tensor_in(tmp_path, "cut", "F32", bytes(64))
    (tmp_path / "cut").write_bytes(bytes(60))
    with old[0], cut[0], pytest.raises(BadWeights, match="'cut': tensor 'w' ends at byte 64, the file has 60"):
        Pair(old, cut)
    model, part, tensor = tensor_in(tmp_path, "packed", "F32", bytes(64))
    packed = Tensor("w", "F32", tensor.shape, 0, 64, deflated=Deflated(0, 64, 64))
    with old[0], model, Scanner() as scanner, pytest.raises(BadWeights) as caught:
        list(scanner.scan([Pair(old, (model, part, packed))]))
    assert isinstance(caught.value.fault, FormatError)
