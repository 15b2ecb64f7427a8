"""The format of docs/formats/lifecycle.md, byte for byte: repositories keep these files for ever."""

from __future__ import annotations

import re
from pathlib import Path

from hundredweight.lineage import message, record
from hundredweight.lineage.record import (
    Code,
    DataVersion,
    Environment,
    Gpu,
    Hardware,
    Record,
    Status,
    Tracker,
    Weights,
)

PAGE = Path(__file__).parents[2] / "docs/formats/lifecycle.md"
FILE = Path(__file__).parent / "golden/20261123-140000-abc234.json"
RECORD = Record(
    id="20261123-140000-abc234",
    name="digits",
    status=Status.FAILED,
    command=("python", "train.py"),
    started="2026-11-23T14:00:00Z",
    seconds=61.25,
    exit_code=3,
    code=Code("a" * 40, True),
    seed=0,
    parameters={"lr": 3e-05, "opt.name": "adam, w", "layers": "[1, 2]", "amp": True, "note": None},
    metrics={"val_loss": 0.42, "test_acc": 0.891, "bad": float("nan")},
    curves=(".cwt/experiments/20261123-140000-abc234/metrics.jsonl",),
    hardware=Hardware("EPYC", 64, 1 << 39, (Gpu("A100", 80 << 30, 4),)),
    data=(DataVersion("data", "v1.1", "b" * 40, "c" * 64, 3, 99),),
    environment=Environment(
        "3.11.2", "12.4", "requirements.txt", "d" * 64, {"numpy": "2.4.6"}, ("x is not installed",)
    ),
    weights=(Weights("model.safetensors", "e" * 64, 123, "w1-" + "f" * 64),),
    trackers=(Tracker("mlflow", "1" * 32, "http://example.org"),),
    log=".cwt/experiments/20261123-140000-abc234/log.txt",
    base="20261122-000000-aaaaaa",
)
MESSAGE = f"""\
Train digits on data v1.1
- Hyperparameters: lr=3e-5, opt.name="adam, w", layers="[1, 2]", amp=true, note=null
- Hardware: 4x A100 GPUs
- Performance: val_loss=0.42, test_acc=0.891, bad=nan
- Status: failed, exit code 3

Experiment: 20261123-140000-abc234
Dataset: data@v1.1
Environment: {"d" * 16}
Run: mlflow:{"1" * 32}
Weights-Id: w1-{"f" * 64}
"""


def test_the_record() -> None:
    assert RECORD.encode() == FILE.read_bytes()
    again = record.decode(FILE.read_bytes(), "golden")
    assert again.encode() == FILE.read_bytes()
    assert (again.parameters, again.hardware, again.environment) == (
        RECORD.parameters,
        RECORD.hardware,
        RECORD.environment,
    )


def test_the_message() -> None:
    assert message.write(RECORD) == MESSAGE
    said = message.read(MESSAGE)
    assert said is not None
    assert (said.experiment, said.name, said.data, said.hardware) == (RECORD.id, "digits", "v1.1", "4x A100 GPUs")
    assert said.parameters == RECORD.parameters


def test_the_page_shows_what_is_read() -> None:
    (shown,) = re.findall(r"^```\n(Train .*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    said = message.read(shown)
    assert said is not None
    assert said.parameters == {"lr": 3e-05, "batch_size": 32, "epochs": 10}
    assert said.metrics == {"val_loss": 0.42, "test_acc": 0.891}
    assert set(said.trailers) == {"Experiment", "Dataset", "Environment", "Run", "Weights-Id"}
