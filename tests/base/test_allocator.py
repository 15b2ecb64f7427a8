"""Freed memory: kept for the next buffer, given back when a process rests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import threading
from pathlib import Path
from hundredweight.base.allocator import give_back_freed_memory, keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

def work():
    buffers = [bytes(bytearray(b"x") * (1 << 20)) for _ in range(40)]

keep_freed_memory()
keep_freed_memory()
before = resident()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
kept = resident()
give_back_freed_memory()
print(kept - before, resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the resident size that Linux tells")
def test_what_threads_freed_is_bounded_and_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True, timeout=30).stdout
    kept, left = map(int, told.split())
    assert kept <= 72
    assert left <= 8
