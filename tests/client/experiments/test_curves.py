"""Curves from the files that trainings write."""

from __future__ import annotations

import json
from pathlib import Path

from hundredweight.client.experiments.curves import read_curves, sparkline
from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Record

FILES = {
    "metrics.jsonl": b'{"step": 1, "loss": 0.5, "note": "x", "time": 17}\n{"step": 3, "loss": 0.25, "acc": 1}\n{"step": 4, "lo',
    "log.csv": b"epoch,val,text\n0,0.9,a\n1,0.8,b\n2,,c\n",
    "plots/train.tsv": b"step\tgrad\n10\t1.5\n20\tnan\n",
    "trainer_state.json": json.dumps(
        {"log_history": [{"step": 5, "eval_loss": 2}, {"step": 6, "eval_loss": 1}]}
    ).encode(),
    "broken.json": b"{",
    "list.jsonl": b"[1]\n3\n",
}


def test_all_kinds_of_files(tmp_path: Path) -> None:
    git = Git(str(tmp_path))
    git.output("init", "-q")
    known = Record("20261123-100000-aaaaaa", curves=(*FILES, "missing.jsonl"))
    commit = experiments.write(git, "", known, FILES)
    found = read_curves(git, experiments.Experiment(known, commit))
    assert {curve.name: (curve.steps, curve.values) for curve in found} == {
        "loss": ([1, 3], [0.5, 0.25]),
        "acc": ([3], [1]),
        "val": ([0, 1], [0.9, 0.8]),
        "grad": ([10], [1.5]),
        "eval_loss": ([5, 6], [2, 1]),
    }
    assert read_curves(git, experiments.Experiment(Record("x"), commit)) == []


def test_a_curve_in_a_line() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, 1]) == "▁▁"
    assert len(sparkline([float(n) for n in range(1000)], 10)) == 10
    assert sparkline([]) == ""
