"""What others store for the same versions: Xet's own local store, and ZipNN on every tensor that is not there yet."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.codec import tensors_of

ZIPNN_TYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True)
class Kept:
    """Of a series of files: their bytes, what is stored for all of them, and the seconds that writing and reading took."""

    raw: int
    stored: int
    write_seconds: float
    read_seconds: float

    @property
    def percent(self) -> float:
        return 100 * self.stored / self.raw


def folder_size(folder: Path) -> int:
    """What `du` says: the blocks that are taken, of files and folders."""
    return sum(path.lstat().st_blocks * 512 for path in (folder, *folder.rglob("*")))


def zipnn(files: list[Path]) -> Kept:
    """Each tensor's bytes compressed by themselves, equal tensors once; the headers raw."""
    from zipnn import ZipNN  # noqa: PLC0415 - imports torch

    coders = {dtype: ZipNN(input_format="byte", bytearray_dtype=name, threads=1) for dtype, name in ZIPNN_TYPES.items()}
    seen: set[bytes] = set()
    stored = raw = 0
    seconds = [0.0, 0.0]
    for path in files:
        tensors = tensors_of(path)
        raw += path.stat().st_size
        stored += path.stat().st_size - sum(len(data) for _, data in tensors.values())
        for dtype, data in tensors.values():
            digest = hashlib.sha256(data).digest()
            if digest in seen:
                continue
            seen.add(digest)
            stored += _zipnn_tensor(coders[dtype], data, seconds) if dtype in coders else len(data)
    return Kept(raw, stored, *seconds)


def _zipnn_tensor(coder: Any, data: bytes, seconds: list[float]) -> int:
    # It sorts the bytes that it is given in place.
    content = bytearray(data)
    begin = time.perf_counter()
    packed = coder.compress(content)
    middle = time.perf_counter()
    unpacked = coder.decompress(packed)
    seconds[0] += middle - begin
    seconds[1] += time.perf_counter() - middle
    if unpacked != data:
        raise RuntimeError("ZipNN gave other bytes back")
    return min(len(packed), len(data))


def xet(files: list[Path], folder: Path) -> Kept:
    """Uploaded one after the other to hf_xet's local store in `folder`, and all downloaded.

    In a process of its own, since hf_xet takes the place of its caches from the environment when it is imported.
    """
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.weights.peers", str(folder), *map(str, files)]
    done = subprocess.run(
        command, env={**os.environ, "HF_HOME": str(folder / "home")}, stdout=subprocess.PIPE, check=True
    )
    return Kept(**json.loads(done.stdout))


def _use_xet(folder: Path, files: list[Path]) -> Kept:
    import hf_xet  # noqa: PLC0415 - see xet()

    store = folder / "store"
    store.mkdir()
    session = hf_xet.XetSession()
    infos = []
    begin = time.perf_counter()
    for path in files:
        commit = session.new_upload_commit(endpoint=f"local://{store}")
        commit.start_upload_file(str(path), sha256=hf_xet.SKIP_SHA256)
        report = commit.wait_to_finish()
        infos += [upload.xet_info for upload in report.uploads.values()]
    middle = time.perf_counter()
    group = session.new_file_download_group(endpoint=f"local://{store}")
    copies = [folder / f"copy-{number}" for number in range(len(files))]
    for info, copy in zip(infos, copies, strict=True):
        group.start_download_file(info, str(copy))
    group.wait_to_finish()
    end = time.perf_counter()
    if [copy.stat().st_size for copy in copies] != [path.stat().st_size for path in files]:
        raise RuntimeError("Xet gave other files back")
    raw = sum(path.stat().st_size for path in files)
    return Kept(raw, folder_size(store), middle - begin, end - middle)


if __name__ == "__main__":
    print(json.dumps(asdict(_use_xet(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]))))
