"""Which passes run: numpy's at first, compiled ones when enough work has been seen, never where numba is missing or forbidden."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hundredweight.codec import block, kernel, numbers
from hundredweight.codec.kernel import Kernel
from hundredweight.codec.passes import NumpyPasses, Passes, fold
from hundredweight.codec.plan import UNCHANGED, Grouping, Plan
from hundredweight.codec.values import DIGITS, Cut, Runs
from tests.codec.material import fine_tune


def test_numba_is_not_imported_for_a_little_work() -> None:
    program = (
        "import sys\n"
        "from hundredweight.codec import block\n"
        "made = block.encode(bytes(range(256)) * 9999, 'F32', bytes(9999))\n"
        "block.decode(made, 256 * 9999, bytes(9999))\n"
        "print('numba' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_much_work_brings_the_compiled_passes() -> None:
    pytest.importorskip("numba")
    choice = kernel.Choice()
    assert isinstance(choice.passes(Kernel.AUTO, 1000), NumpyPasses)
    assert isinstance(choice.passes(Kernel.OFF, kernel.WORTH), NumpyPasses)
    assert not isinstance(choice.passes(Kernel.AUTO, kernel.WORTH), NumpyPasses)
    assert not isinstance(choice.passes(Kernel.AUTO, 1), NumpyPasses)
    assert isinstance(choice.passes(Kernel.OFF, 1), NumpyPasses)


def test_without_numba_numpy_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "find_spec", lambda _name: None)
    choice = kernel.Choice()
    for _ in range(2):
        assert isinstance(choice.passes(Kernel.AUTO, kernel.WORTH), NumpyPasses)


def test_kernels_compile_where_no_cache_can_be_written() -> None:
    numba = pytest.importorskip("numba")
    from hundredweight.codec import compiling

    found: dict[str, object] = {}
    exec("def first(items, out):\n    out[0] = items[0]\n", found)  # of no file, hence without a place for its cache
    run = compiling.compile_passes(found["first"], (numba.uint8[::1], numba.uint8[::1]))
    out = bytearray(1)
    run(np.full(1, 7, np.uint8), np.frombuffer(out, np.uint8))
    assert out == b"\7"


@pytest.mark.parametrize("mode", [Kernel.OFF, Kernel.ON])
def test_threads_do_not_disturb_each_other(mode: Kernel) -> None:
    pairs = [fine_tune(dtype, 40_000, seed) for seed in range(4) for dtype in ("F32", "BF16", "F64")]
    alone = [block.encode(pair.raw, pair.dtype, pair.base, kernel=mode) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: block.encode(pair.raw, pair.dtype, pair.base, kernel=mode), pairs))
        back = list(
            pool.map(lambda made, pair: block.decode(made, len(pair.raw), pair.base, kernel=mode), alone, pairs)
        )
    assert together == alone
    assert [bytes(content) for content in back] == [pair.raw for pair in pairs]


@pytest.mark.parametrize("kind", [numbers.F32, numbers.BF16, numbers.F16, numbers.WORDS, numbers.DOUBLE_WORDS])
def test_statistics_are_the_same_by_either_way(kind: numbers.Kind) -> None:
    """Plans must not depend on the machine; sizes and sparsity go over all branches."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(kind.code)
    for count in (0, 1, 127, 32 * 128, 40_000, 300_000):
        for spread in (0, 1, 3, 8 * kind.width - 1):
            values = (rng.integers(0, 1 << 32, count) >> rng.integers(32 - spread, 33, count)).astype(kind.bits)
            values[rng.integers(0, max(count, 1), count // 2) // 128 * 128] = 0
            values[: count // 3] = 0
            base = rng.normal(0, 0.02, count).astype(np.float32).view(np.uint32)
            frame = (base >> np.uint32(32 - 8 * kind.width)).astype(kind.bits)
            raw = NumpyPasses().restore(values, frame, kind, None)
            ways = [way.differences(raw, frame, frame, kind, decays=False) for way in _ways()]
            assert ways[0].values.tolist() == ways[1].values.tolist() == values.tolist()
            plans = [way.plan for way in ways]
            assert repr(plans[0]) == repr(plans[1])
            tables, classes = zip(
                *((each.grouping.table.tobytes(), each.grouping.classes.tobytes()) for each in plans), strict=True
            )
            assert tables[0] == tables[1]
            assert classes[0] == classes[1]


@pytest.mark.parametrize("rows", [63, 64, 700, 5000])
@pytest.mark.parametrize("decay", [0, 3, 900, 1 << 19])
def test_drift_is_the_same_by_either_way(rows: int, decay: int) -> None:
    """No rows that decay, some, all; by steps of one size, of a few, of very different ones."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(rows + decay)
    base = rng.normal(0, 0.02, rows * 128 + 5).astype(np.float32).view(np.uint32)
    for share in (0.0, 0.02, 0.5, 1.0):
        raw = base + rng.integers(0, 1 << 23, len(base)).astype(np.uint32)
        for row in np.flatnonzero(rng.random(rows) < share):
            part = slice(row * 128, (row + 1) * 128)
            mantissa = (base[part] & np.uint32(0x7FFFFF)).astype(np.float64) / (1 << 23)
            raw[part] = base[part] - (decay * (1 + mantissa)).astype(np.uint32)
        ways = [way.differences(raw, base, base, numbers.F32, decays=True).drift for way in _ways()]
        assert (ways[0] is None) == (ways[1] is None)
        assert ways[0] is None or ways[1] is None or ways[0].tolist() == ways[1].tolist()
        assert share == 0.02 or (ways[0] is None) == (rows < 64 or decay == 0 or share == 0)


@pytest.mark.parametrize("kind", [numbers.F32, numbers.BF16])
def test_values_are_cut_the_same_by_either_way(kind: numbers.Kind) -> None:
    """Runs of no values, of one, of zeros with long gaps, of few symbols, of many, of values beyond their symbols."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(kind.code)
    parts = [rng.integers(0, most, count) for most, count in ((1, 0), (9, 1), (2, 5), (3, 999), (5, 255), (9, 70_000))]
    parts += [rng.integers(0, 40, 9000), rng.integers(0, 1 << 16, 30_000), rng.integers(0, 1 << 8 * kind.width, 257)]
    parts += [rng.integers(1, 400, 70_000) * (rng.integers(0, rare, 70_000) == 0) for rare in (4, 400, 40_000)]
    values = np.concatenate(parts).astype(kind.bits)
    for _ in range(4):
        lows = rng.integers(0, 2 * kind.width, len(parts)) * 4
        runs = Runs(np.array([len(part) for part in parts]), lows)
        ways = [_flat(way.cut(values, runs)) for way in _ways()]
        assert all(way == ways[0] for way in ways)
        base = rng.integers(0, 1 << 8 * kind.width, len(values) // 128 * 128).astype(kind.bits)
        classes = rng.choice(np.array([0, 1, UNCHANGED], np.uint16), len(base) // 128)
        made = Plan(Grouping(128, classes, rng.integers(0, 7, 512).astype(np.uint8), 8), tuple(lows[:8].tolist()), 0)
        some = values[: len(base)].copy()
        ways = [_flat(way.cut_by_context(some, base, kind, made)) for way in _ways()]
        assert all(way == ways[0] for way in ways)


def _ways() -> list[Passes]:
    """Numpy's first; all that this processor can run."""
    from hundredweight.codec.compiled import CompiledPasses
    from hundredweight.codec.compiling import has_wide_vectors

    ways: list[Passes] = [NumpyPasses(), CompiledPasses()]
    if has_wide_vectors():
        from hundredweight.codec.wide import WidePasses

        ways.append(WidePasses())
    return ways


@pytest.mark.parametrize("kind", [numbers.F32, numbers.BF16, numbers.F16, numbers.WORDS, numbers.DOUBLE_WORDS])
@pytest.mark.parametrize("contexts", [1, 2, 7, 13, 30, 64])
def test_elements_are_grouped_the_same_by_any_way(kind: numbers.Kind, contexts: int) -> None:
    """Groups of any length, dense and left out, and elements behind the last whole vector."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(contexts)
    for group in (0, 2, 32, 64, 128, 1024):
        for length in (0, 1, 127, 64 * 128, 70_001):
            whole = length // group * group if group else length
            base = (rng.integers(0, 1 << 32, whole) >> (32 - 8 * kind.width)).astype(kind.bits)
            known = rng.integers(0, contexts, 3 * 256 if group else 256).astype(np.uint8)
            some = np.array([0, 1, 2, UNCHANGED], np.uint16)
            classes = rng.choice(some, whole // group) if group else np.zeros(0, np.uint16)
            found = [way.partition(base, kind, Grouping(group, classes, known, contexts)) for way in _ways()]
            parts = rng.integers(1, 1 << 16, int(found[0].counts.sum())).astype(kind.bits)
            joined = found[0].join(parts).tolist()
            for other in found[1:]:
                assert other.counts.tolist() == found[0].counts.tolist()
                assert other.join(parts).tolist() == joined


def _flat(cut: Cut) -> list[object]:
    streams = [[stream.tolist() for stream in pair] for pair in cut.streams]
    octets = [row.tolist() for row in cut.octets]
    return [[*cut.lows], [*cut.modes], streams, cut.exceeding.tolist(), octets, cut.halves.tolist()]


@pytest.mark.parametrize("length", [0, 1, 5, 254, 255, 256, 70_000])
def test_digits_are_read_the_same_by_either_way(length: int) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(length)
    for rare in (1, 4, 400, 10_000):
        symbols = (rng.integers(0, 256, length) * (rng.integers(0, rare, length) == 0)).astype(np.uint8)
        for base, digits in DIGITS.items():
            symbols = np.minimum(symbols, rng.integers(0, base + 3, length)).astype(np.uint8)
            packed, excess = fold(symbols, base, digits)
            noise = rng.integers(0, 256, len(packed)).astype(np.uint8)
            back = []
            for way in _ways():
                found, other = np.empty(length, np.uint8), np.empty(length, np.uint8)
                assert way.unfold(packed, base, found) == len(excess)
                way.exceed(found, base - 1, excess)
                assert found.tolist() == symbols.tolist()
                way.unfold(noise, base, other)
                back.append(other.tolist())
            assert all(other == back[0] for other in back[1:])


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 70_000])
def test_escapes_are_found_the_same_by_any_way(length: int) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(length)
    for least in (0, 250, 255):
        symbols = rng.integers(least, 256, length).astype(np.uint8)
        symbols[length // 2 :] = 0
        found = [way.find(symbols, 255).tolist() for way in _ways()]
        assert all(other == found[0] for other in found)
        assert found[0] == [at for at, symbol in enumerate(symbols.tolist()) if symbol == 255]


def test_who_expects_much_work_has_the_compiled_passes_at_once() -> None:
    pytest.importorskip("numba")
    choice = kernel.Choice()
    choice.expect(kernel.WORTH - 1)
    assert isinstance(choice.passes(Kernel.AUTO, 1), NumpyPasses)
    choice.expect(kernel.WORTH)
    choice.expect(kernel.WORTH)
    assert not isinstance(choice.passes(Kernel.AUTO, 1), NumpyPasses)


def test_expecting_much_without_numba_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "find_spec", lambda _name: None)
    choice = kernel.Choice()
    choice.expect(kernel.WORTH)
    assert isinstance(choice.passes(Kernel.AUTO, 1), NumpyPasses)
