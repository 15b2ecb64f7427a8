"""Leftovers of killed commands go after an hour; what may be in use or continued stays."""

from __future__ import annotations

import os
from pathlib import Path

from hundredweight.client.sweep import OLD, sweep
from hundredweight.store.loose import LooseStore

NOW = 2_000_000_000.0
OID = "ab" * 32


def make(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_what_goes_and_what_stays(tmp_path: Path) -> None:
    store = LooseStore(str(tmp_path))
    tmp, incomplete = tmp_path / "tmp", tmp_path / "incomplete"
    old_folder = make(tmp / "old-folder" / "old", OLD + 1)
    gone = [
        make(tmp / "old", OLD + 1),
        make(tmp / f"{OID}-123", 0),
        make(incomplete / f"{OID}-77-1-abc", OLD + 1),
        old_folder,
    ]
    stays = [
        make(tmp / "young", OLD - 10),
        make(tmp / f"{'cd' * 32}-123", 0),
        make(tmp / "young-folder" / "old", OLD + 1),
        make(incomplete / f"{OID}.part", 10 * OLD),
        make(incomplete / f"{OID}-78-1-abc", 0),
        make(Path(store.path(OID)), 10 * OLD),  # type: ignore[arg-type]
    ]
    os.utime(tmp / "old-folder", (NOW - OLD - 1, NOW - OLD - 1))
    os.utime(tmp / "young-folder", (NOW, NOW))
    sweep(store, NOW)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []


def test_a_store_that_is_not_there_yet(tmp_path: Path) -> None:
    sweep(LooseStore(str(tmp_path / "none")), NOW)
    assert not (tmp_path / "none").exists()
