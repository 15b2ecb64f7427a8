"""What a training ran on, from what the system and the GPU tools print: given as text, the client runs them.

GPUs that a job may not use (CUDA_VISIBLE_DEVICES and its kin) do not count.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.lineage.record import Gpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NVIDIA = ("nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits")
NVIDIA_PLAIN = ("nvidia-smi",)
AMD = ("amd-smi", "static", "--asic", "--vram", "--json")
ROCM = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--json")
_MIB = 1 << 20
_UNITS = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


class Device(NamedTuple):
    """One GPU. `number` and `uuid` are what a list of visible devices may name; `memory` in bytes."""

    number: int
    uuid: str
    name: str
    memory: int


def nvidia_devices(text: str) -> list[Device]:
    """The answer to `NVIDIA`; lines of another form are passed over."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 4 and parts[0].isdigit():
            name = ", ".join(parts[2:-1]).removeprefix("NVIDIA ")
            memory = int(parts[-1]) * _MIB if parts[-1].isdigit() else 0
            found.append(Device(int(parts[0]), parts[1], name, memory))
    return found


def cuda_version(text: str) -> str:
    """The CUDA version that the driver offers, from what `nvidia-smi` alone prints; empty where it says none."""
    match = re.search(r"CUDA(?: UMD)? Version: (\d+(?:\.\d+)*)", text)
    return match[1] if match else ""


def amd_devices(text: str) -> list[Device]:
    """The answer to `AMD`, of all its versions; empty for anything else."""
    document = _json(text)
    listed = document.get("gpu_data") if isinstance(document, dict) else document
    found = []
    for place, item in enumerate(listed if isinstance(listed, list) else []):
        asic, vram = _table(item, "asic"), _table(item, "vram")
        size = vram.get("size")
        memory = _amount(size) if isinstance(size, dict) else 0
        name = str(asic.get("market_name") or "AMD GPU")
        found.append(Device(place, str(asic.get("asic_serial", "")), name, memory))
    return found


def rocm_devices(text: str) -> list[Device]:
    """The answer to `ROCM`; empty for anything else. Warnings before the JSON are passed over."""
    document = _json(text[max(text.find("{"), 0) :])
    found = []
    for card, item in document.items() if isinstance(document, dict) else ():
        number = card.removeprefix("card")
        if not isinstance(item, dict) or not number.isdigit():
            continue
        facts = {key.lower(): str(value) for key, value in item.items()}
        name = facts.get("card series") or facts.get("card model") or "AMD GPU"
        memory = facts.get("vram total memory (b)", "")
        found.append(Device(int(number), facts.get("unique id", ""), name, int(memory) if memory.isdigit() else 0))
    return sorted(found)


def visible(devices: Iterable[Device], wanted: str | None) -> list[Device]:
    """Those that a list of visible devices leaves: numbers or ids (or how they begin), up to the first that names none. None: all
    of them."""
    listed = list(devices)
    if wanted is None:
        return listed
    chosen = []
    for part in wanted.split(","):
        name = part.strip()
        match = [
            device
            for device in listed
            if (name.isdigit() and device.number == int(name)) or (len(name) > 3 and device.uuid.startswith(name))
        ]
        if not match:
            break
        chosen += match[:1]
    return chosen


def gpus(devices: Iterable[Device]) -> tuple[Gpu, ...]:
    """Equal devices counted."""
    counted = Counter((device.name, device.memory) for device in devices)
    return tuple(Gpu(name, memory, count) for (name, memory), count in counted.items())


def cpu_name(cpuinfo: str) -> str:
    """The processor, from Linux's /proc/cpuinfo; empty where it names none, as on many ARM machines."""
    match = re.search(r"^(?:model name|Hardware|cpu model)\s*: *(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(match[1].split()) if match else ""


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _table(item: object, key: str) -> Mapping[str, object]:
    inner = item.get(key) if isinstance(item, dict) else None
    return inner if isinstance(inner, dict) else {}


def _amount(size: Mapping[str, object]) -> int:
    value = size.get("value")
    return int(value) * _UNITS.get(str(size.get("unit", "MB")), 1) if isinstance(value, int | float) else 0
