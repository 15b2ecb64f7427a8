"""`import hundredweight` in a training: metrics are noted, at no cost for anybody else."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import hundredweight
from hundredweight.base.files import WriteError
from hundredweight.lineage import metrics


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("CWT_METRICS", "RANK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_points_are_appended_to_a_file_beside_the_training(here: Path) -> None:
    hundredweight.log({"loss": 0.5}, step=1)
    hundredweight.log({"loss": np.float32(0.25), "n": np.int64(3), "t": np.array(2.5), "ok": True}, step=2, epoch=1)
    hundredweight.log({"loss": math.nan})
    assert lines(here / "metrics.jsonl") == [
        {"step": 1, "loss": 0.5},
        {"step": 2, "epoch": 1.0, "loss": 0.25, "n": 3, "t": 2.5, "ok": True},
        {"loss": "nan"},
    ]
    assert math.isnan(float(metrics.read("metrics.jsonl", (here / "metrics.jsonl").read_bytes()).final["loss"] or 0))


def test_an_experiment_says_where_they_go(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CWT_METRICS", str(here / "elsewhere.jsonl"))
    hundredweight.log({"loss": 1})
    monkeypatch.setenv("RANK", "1")
    hundredweight.log({"loss": 2})
    assert lines(here / "elsewhere.jsonl") == [{"loss": 1}]
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("CWT_METRICS", str(here / "no" / "folder"))
    with pytest.raises(WriteError):
        hundredweight.log({"loss": 3})


@pytest.mark.parametrize("value", [None, [1], np.zeros(2), object()])
def test_what_is_no_number_is_refused(here: Path, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        hundredweight.log({"loss": value})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="no metrics"):
        hundredweight.log({})
    assert not (here / "metrics.jsonl").exists()


def test_several_at_once_never_mix(here: Path) -> None:
    script = "import hundredweight\nfor n in range(200): hundredweight.log({'x' * 3000: n})"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: subprocess.run([sys.executable, "-c", script], check=True, cwd=here), range(4)))
    assert len(lines(here / "metrics.jsonl")) == 800


def test_the_package_loads_nothing_that_a_training_would_notice() -> None:
    script = (
        "import sys; import hundredweight; light = set(sys.modules); hundredweight.log; "
        "print('hundredweight.api' in light, any(n in sys.modules for n in ('numpy', 'yaml', 'blake3', 'subprocess')))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError):
        _ = hundredweight.nothing
    assert "log" in dir(hundredweight)
