"""What the tools of GPU makers print, as it comes from real machines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage.hardware import (
    amd_devices,
    cpu_name,
    cuda_version,
    gpus,
    nvidia_devices,
    rocm_devices,
    visible,
)
from hundredweight.lineage.record import Gpu, Hardware

NVIDIA = """\
0, GPU-8a56a4bc-e184-a047-2620-be19fdf913d5, NVIDIA A100-SXM4-80GB, 81920
1, GPU-29e22bbf-0d69-4ef4-3bb1-6a1f8a6f0f40, NVIDIA A100-SXM4-80GB, 81920
2, GPU-c3d51bb4-1b0b-4b2c-8e2f-2e0a3d6d9f11, Tesla T4, 15360
"""
NVIDIA_PLAIN = "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: 12.4     |\n"
ROCM = (
    'WARNING: AMD GPU device(s) is/are in a low-power state.\n{"card0": {"Unique ID": "0x5e2", "VRAM Total Memory (B)": '
    '"68702699520", "VRAM Total Used Memory (B)": "10850304", "Card Series": "AMD Instinct MI250X", "Card Model": "0x740c", '
    '"GFX Version": "gfx90a"}, "card1": {"VRAM Total Memory (B)": "68702699520", "Card Series": "AMD Instinct MI250X"}, '
    '"system": {"Driver version": "6.7.0"}}'
)
AMD = (
    '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0xabc"}, "vram": {"type": "HBM", "size": '
    '{"value": 196592, "unit": "MB"}}}]'
)


def test_nvidia() -> None:
    assert gpus(nvidia_devices(NVIDIA)) == (Gpu("A100-SXM4-80GB", 81920 << 20, 2), Gpu("Tesla T4", 15360 << 20, 1))
    assert str(Hardware(gpus=gpus(nvidia_devices(NVIDIA)[:2]))) == "2x A100-SXM4-80GB GPUs"
    assert cuda_version(NVIDIA_PLAIN) == "12.4"
    assert nvidia_devices("No devices were found\n") == []
    assert nvidia_devices("0, GPU-1, NVIDIA GB10, [N/A]\n")[0].memory == 0


def test_amd() -> None:
    assert gpus(rocm_devices(ROCM)) == (Gpu("AMD Instinct MI250X", 68702699520, 2),)
    assert gpus(amd_devices(AMD)) == (Gpu("AMD Instinct MI300X", 196592 << 20, 1),)
    assert amd_devices('{"gpu_data": ' + AMD + "}") == amd_devices(AMD)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        ("0,9,1", [0]),
        ("GPU-29e2", [1]),
    ],
)
def test_only_what_a_job_may_use_counts(wanted: str | None, numbers: list[int]) -> None:
    assert [device.number for device in visible(nvidia_devices(NVIDIA), wanted)] == numbers


def test_the_processor() -> None:
    assert (
        cpu_name("processor\t: 0\nmodel name\t: AMD EPYC 7763  64-Core Processor\n")
        == "AMD EPYC 7763 64-Core Processor"
    )
    assert cpu_name("processor: 0\n") == ""


@given(st.text())
def test_any_text_is_no_device_at_worst(text: str) -> None:
    for read in (nvidia_devices, amd_devices, rocm_devices):
        assert isinstance(read(text), list)
