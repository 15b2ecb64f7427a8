"""`cwt exp record`: trainings that ran elsewhere, and as many recorders at once as there are."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hundredweight.client.experiments.record import RecordRequest, record_training
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git
from hundredweight.lineage.record import Status
from tests.client.experiments.trainings import curve_of, file_of, found, project
from tests.people import Person


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("ana", tmp_path / "ana")


def trained(person: Person) -> Path:
    """A repository in which the training has run by itself."""
    folder = project(person)
    person.run("python", "train.py", cwd=folder, CWT_METRICS="metrics.jsonl")
    return folder


def test_a_training_that_ran_elsewhere(person: Person) -> None:
    folder = trained(person)
    (folder / "out.log").write_text("10%\r50%\r100%\ndone\n")
    done = person.run(
        *(
            "cwt",
            "exp",
            "record",
            "--name",
            "slurm",
            "--set",
            "nodes=2",
            "--metrics",
            "metrics.jsonl",
            "--log",
            "out.log",
        ),
        *(
            "--started",
            "2026-11-23T14:00:00Z",
            "--seconds",
            "61.5",
            "--branch",
            "--",
            "python",
            "train.py",
            "--seed",
            "3",
        ),
        cwd=folder,
        SLURM_JOB_ID="4711",
    )
    (made,) = found(person, folder)
    known = made.record
    assert done.stdout.strip() == known.id
    assert known.parameters == {"lr": 0.05, "seed": 7, "train.epochs": 8, "nodes": 2}
    assert (known.started, known.seconds, known.status) == ("2026-11-23T14:00:00Z", 61.5, Status.DONE)
    assert known.metrics == {"train_loss": 1, "loss": 20.0, "data": 4}
    assert len(curve_of(person, folder, made)) == 3
    assert file_of(person, folder, made, known.log) == "100%\ndone"
    assert [f"{run.kind}:{run.run}" for run in known.trackers] == ["slurm:4711"]
    assert known.weights[0].weights_id.startswith("w1-")
    assert person.git("rev-parse", "slurm", cwd=folder) == made.commit
    assert "Run: slurm:4711" in person.git("log", "-1", "--format=%B", "slurm", cwd=folder)


def test_the_trainer_of_hugging_face_and_dvclive_are_found_without_settings(person: Person) -> None:
    folder = person.repository("plain")
    person.commit(folder, {"a.py": b"\n", ".gitignore": b"/out\n"})
    state = {
        "log_history": [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 0.5, "epoch": 1.0}],
        "best_metric": None,
    }
    for number in (1, 2):
        file = folder / f"out/checkpoint-{number}/trainer_state.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({**state, "log_history": state["log_history"][:number]}))  # type: ignore[index]
        (file.parent / "model.safetensors").write_bytes(b"x" * 999)
    live = folder / "dvclive/plots/metrics/train"
    live.mkdir(parents=True)
    (live / "acc.tsv").write_text("step\tacc\n0\t0.5\n1\t0.75\n")
    (folder / "dvclive/params.yaml").write_text("lr: 1e-3\n")
    person.run("cwt", "exp", "record", cwd=folder)
    (made,) = found(person, folder)
    assert made.record.metrics == {"loss": 2.0, "eval_loss": 0.5, "train/acc": 0.75}
    assert made.record.parameters == {"lr": 0.001}
    assert made.record.weights == ()
    assert file_of(person, folder, made, "out/checkpoint-2/trainer_state.json")


def test_only_the_first_process_records(person: Person) -> None:
    folder = trained(person)
    for variables in (("RANK=1",), ("SLURM_PROCID=3", "SLURM_NTASKS=4")):
        assert person.run("env", *variables, "cwt", "exp", "record", cwd=folder).stdout == ""
    assert found(person, folder) == []
    person.run("cwt", "exp", "record", cwd=folder, RANK="0")
    assert len(found(person, folder)) == 1


@pytest.mark.parametrize(
    ("args", "status"),
    [(("--exit-code", "2"), Status.FAILED), (("--killed",), Status.KILLED), ((), Status.DONE)],
)
def test_how_it_ended(person: Person, args: tuple[str, ...], status: Status) -> None:
    folder = trained(person)
    person.run("cwt", "exp", "record", *args, cwd=folder)
    assert found(person, folder)[0].record.status is status


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--metrics", "nothing.json"), 1),
        (("--weights", "../x"), 1),
        (("--log", "no.log"), 1),
        (("--started", "soon"), 2),
        (("--set", "a=1,2"), 2),
    ],
)
def test_what_is_not_there_is_told(person: Person, args: tuple[str, ...], code: int) -> None:
    folder = project(person)
    done = person.run("cwt", "exp", "record", *args, cwd=folder, check=False)
    assert done.returncode == code
    assert "hint: " in done.stderr
    assert found(person, folder) == []


def test_a_hundred_recorders_at_once_lose_nothing(person: Person) -> None:
    folder = trained(person)
    variables = person.env

    def one(number: int) -> str:
        workspace = open_workspace(Git(str(folder), variables), variables)
        request = RecordRequest(name=f"job-{number}", settings=(f"job={number}",), python="/bin/false")
        return record_training(workspace, request)[0].record.id

    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(one, number) for number in range(96)]
        commands = [
            subprocess.Popen(
                ["cwt", "exp", "record", "--set", f"job={n}"], cwd=folder, env=variables, stdout=subprocess.PIPE
            )
            for n in range(96, 100)
        ]
        ids = {item.result() for item in waiting} | {command.communicate()[0].decode().strip() for command in commands}
    listed = found(person, folder)
    assert {made.record.id for made in listed} == ids
    assert sorted(made.record.parameters["job"] for made in listed) == list(range(100))  # type: ignore[type-var]
    assert person.git("fsck", "--connectivity-only", "--no-dangling", cwd=folder) == ""
