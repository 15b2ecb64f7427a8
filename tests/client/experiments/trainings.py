"""A repository with a training that takes no time: parameters in, weights and metrics out."""

from __future__ import annotations

import json
from pathlib import Path

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.experiments import Experiment
from tests.people import Person

TRAIN = """\
import json, os, struct, sys, tomllib
with open("params.toml", "rb") as file:
    params = tomllib.load(file)
values = struct.pack("<2f", params["lr"], params["train"]["epochs"])
header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
with open("model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + values)
with open("metrics.json", "w") as file:
    json.dump({"loss": 1 / params["lr"], "data": len(open("data/train.csv").read())}, file)
with open(os.environ["CWT_METRICS"], "a") as file:
    for step in range(3):
        file.write(json.dumps({"step": step, "train_loss": 3 - step}) + "\\n")
print("trained", params["lr"])
print("careful", file=sys.stderr)
"""
PARAMS = "lr = 0.05  # at the start\nseed = 7\n[train]\nepochs = 8\n"
SETTINGS = """\
[model]
name = "digits"
weights = ["model.safetensors"]
[data]
paths = ["data"]
version = "v1.1"
[experiment]
parameters = ["params.toml"]
metrics = ["metrics.json"]
environment = "requirements.txt"
"""


def project(person: Person, name: str = "digits") -> Path:
    """A repository that is ready, with one commit."""
    folder = person.repository(name)
    person.run("cwt", "init", cwd=folder)
    files = {
        "train.py": TRAIN.encode(),
        "params.toml": PARAMS.encode(),
        "hundredweight.toml": SETTINGS.encode(),
        "requirements.txt": b"blake3>=1.0\nnobody-has-this==1.0\n",
        "data/train.csv": b"1,2\n",
    }
    person.commit(folder, files, "start")
    return folder


def found(person: Person, folder: Path) -> list[Experiment]:
    """All experiments of a repository."""
    listed = experiments.find(Git(str(folder), person.env))
    assert listed.damaged == ()
    return list(listed.experiments)


def file_of(person: Person, folder: Path, experiment: Experiment, path: str) -> str:
    """A file in an experiment's tree."""
    return person.git("show", f"{experiment.commit}:{path}", cwd=folder)


def curve_of(person: Person, folder: Path, experiment: Experiment) -> list[dict[str, float]]:
    """An experiment's curve."""
    (path,) = experiment.record.curves
    return [json.loads(line) for line in file_of(person, folder, experiment, path).splitlines()]
