"""The reference history by name: what history.py makes, and everything else measures."""

from __future__ import annotations

DTYPES = ("fp32", "bf16")
STEPS = 300
EVERY = 60

# In the order in which they are committed.
VERSIONS = (
    "base",
    *(f"series_step{step:04d}" for step in range(EVERY, STEPS + 1, EVERY)),
    "full_wd0",
    "lastlayer",
    "lora_merged",
    "resized_only",
    "resized_ft",
)
# What is measured as a pair: the new file and its base.
PAIRS = (
    ("full_nativebf16_bf16", "base_bf16"),
    ("series_step0300_fp16", "base_fp16"),
    ("series_step0300_optim_fp32", "series_step0240_optim_fp32"),
)


def parents() -> list[tuple[str, str]]:
    """Every file with what it was trained from, or nothing."""
    found = []
    for dtype in DTYPES:
        for number, name in enumerate(VERSIONS):
            before = VERSIONS[number - 1] if name.startswith("series") else "base"
            found.append((f"{name}_{dtype}", "" if name == "base" else f"{before}_{dtype}"))
    return [*found, *PAIRS]
