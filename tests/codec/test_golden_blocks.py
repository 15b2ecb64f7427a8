"""Blocks of version 1 that were written once are read for ever.

To add some: `python -m tests.codec.test_golden_blocks` writes those that are missing. Those that are there never change.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from hundredweight.codec import block
from hundredweight.codec.block import Profile
from hundredweight.codec.kernel import Kernel
from hundredweight.codec.methods import DELTA, DELTA_PLANES, FLOATS, PACKED, PLANES, STORED
from tests.codec.material import Pair, fine_tune

FOLDER = Path(__file__).parent / "golden"
METHODS = {STORED, PACKED, PLANES, FLOATS, DELTA, DELTA_PLANES}


INDEX = json.loads((FOLDER / "index.json").read_text()) if (FOLDER / "index.json").exists() else {}
CASTS = (("BF16", "F32"), ("F16", "F32"), ("F32", "BF16"), ("F32", "F16"))


def small_steps(share: float) -> Pair:
    """Integers of which that share stays, and the others move a little."""
    random = np.random.default_rng(5)
    base = random.integers(0, 30_000, 3000)
    return Pair(
        "I16", (base + random.geometric(share, 3000) - 1).astype("<i2").tobytes(), base.astype("<i2").tobytes(), "I16"
    )


def made_once() -> dict[str, tuple[Pair, Profile]]:
    """What the golden blocks are made of: every method, conversion and mode of symbols at least once."""
    cases = {f"delta-{dtype}": (fine_tune(dtype, 4500), Profile.DEFAULT) for dtype in ("BF16", "F16", "F64", "I16")}
    cases["delta-F32"] = (fine_tune("F32", 9000), Profile.DEFAULT)
    cases["planes-BF16"] = (fine_tune("BF16", 3000), Profile.FAST)
    longer = fine_tune("F32", 4500)
    cases["rest-F32"] = (Pair("F32", longer.raw + b"abc", longer.base[:12_000], "F32"), Profile.DEFAULT)
    for dtype, base_dtype in CASTS:
        cases[f"cast-{base_dtype}-{dtype}"] = (
            Pair(dtype, fine_tune(dtype, 1500).raw, fine_tune(base_dtype, 1500).base, base_dtype),
            Profile.DEFAULT,
        )
    for percent in (30, 55, 70):
        cases[f"digits-{percent}"] = (small_steps(percent / 100), Profile.DEFAULT)
    cases["alone-I32"] = (Pair("I32", (np.arange(2000) ** 2 * 7).astype("<i4").tobytes(), b"", "I32"), Profile.DEFAULT)
    for dtype in ("F32", "BF16", "I64"):
        cases[f"alone-{dtype}"] = (Pair(dtype, fine_tune(dtype, 3000).raw, b"", dtype), Profile.DEFAULT)
    cases["text"] = (Pair("", b"a line of text\n" * 99, b"", ""), Profile.DEFAULT)
    cases["noise"] = (Pair("", np.random.default_rng(1).bytes(99), b"", ""), Profile.DEFAULT)
    return cases


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    index = dict(INDEX)
    for name, (pair, profile) in made_once().items():
        if name in index:
            continue
        made = block.encode(pair.raw, pair.dtype, pair.base or None, pair.base_dtype, profile=profile)
        (FOLDER / f"{name}.block").write_bytes(made)
        if block.uses_base(made):
            (FOLDER / f"{name}.base").write_bytes(pair.base)
        index[name] = {"size": len(pair.raw), "blake3": blake3(pair.raw).hexdigest()}
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")


@pytest.mark.parametrize("name", INDEX)
def test_a_golden_block_gives_its_bytes(name: str) -> None:
    made = (FOLDER / f"{name}.block").read_bytes()
    based = FOLDER / f"{name}.base"
    for kernel in (Kernel.OFF, Kernel.ON):
        content = block.decode(made, INDEX[name]["size"], based.read_bytes() if based.exists() else None, kernel=kernel)
        assert blake3(content).hexdigest() == INDEX[name]["blake3"]


def test_every_method_has_a_golden_block() -> None:
    assert {(FOLDER / f"{name}.block").read_bytes()[1] for name in INDEX} == METHODS


if __name__ == "__main__":
    write()
