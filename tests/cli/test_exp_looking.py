"""`cwt exp list`, `show` and `compare`, as people and programs see them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
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
    utc,
)
from tests.people import Person

IDS = tuple(f"20261123-10000{number}-{letter * 6}" for number, letter in enumerate("abc"))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> tuple[Person, Path]:
    """Somebody with three experiments, one of which failed."""
    person = Person("ada", tmp_path_factory.mktemp("ada"))
    folder = person.repository("work")
    start = person.commit(folder, {"train.py": b"pass\n"})
    git = Git(str(folder), person.env)
    for number, identity in enumerate(IDS):
        made = Record(
            identity,
            name=f"try-{number}",
            status=Status.FAILED if number == 2 else Status.DONE,
            command=("python", "train.py"),
            started=utc(1_800_000_000 + number),
            seconds=75,
            exit_code=2 if number == 2 else 0,
            code=Code(start, number == 1),
            parameters={"lr": (1e-05, 3e-05, 1.0)[number], "epochs": 10},
            metrics={} if number == 2 else {"acc": 0.5 + number / 4},
            hardware=Hardware("EPYC", 8, 1 << 34, (Gpu("A100", 80 << 30, 4),)),
            data=(DataVersion("data", "v1", "", "d" * 64, 3, 2048),),
            environment=Environment(
                "3.11", "12.4", "requirements.txt", "e" * 64, {"numpy": f"2.{number}"}, ("numpy: 2 | 1",)
            ),
            weights=(Weights("m.bin", f"{number}" * 64, 9, f"w1-{number}"),),
            trackers=(Tracker("mlflow", "run7", "http://example.com/run7"),),
            log=f".cwt/experiments/{identity}/log.txt",
            curves=(f".cwt/experiments/{identity}/metrics.jsonl",),
        )
        lines = b"".join(b'{"step": %d, "loss": %d}\n' % (step, 9 - step) for step in range(8))
        experiments.write(git, start, made, {made.log: b"it ran\n", made.curves[0]: lines})
    return person, folder


def cwt(team: tuple[Person, Path], *args: str) -> str:
    person, folder = team
    return person.run("cwt", "exp", *args, cwd=folder).stdout


def refused(team: tuple[Person, Path], *args: str) -> tuple[int, str]:
    person, folder = team
    done = person.run("cwt", "exp", *args, cwd=folder, check=False)
    return done.returncode, done.stderr


def test_a_list_for_people(team: tuple[Person, Path]) -> None:
    assert cwt(team, "list").splitlines() == [
        "id                      name   status  started               acc    lr",
        f"{IDS[2]}  try-2  failed  2027-01-15 08:00:02         1.0",
        f"{IDS[1]}  try-1  done    2027-01-15 08:00:01  0.75  3e-5",
        f"{IDS[0]}  try-0  done    2027-01-15 08:00:00   0.5  1e-5",
        "same in all: seconds=75.0, epochs=10, data=v1, hardware=4x A100 GPUs",
    ]


def test_filters_order_and_columns(team: tuple[Person, Path]) -> None:
    listed = cwt(
        team, "list", "--where", "status=done", "lr<1", "--sort", "-acc", "--columns", "name,acc,epochs", "-n", "1"
    )
    assert listed.splitlines() == ["name    acc  epochs", "try-1  0.75      10", "and 1 more (see --all, --limit)"]
    assert cwt(team, "list", "--where", "name=nobody") == "no experiment is like that\n"
    assert refused(team, "list", "--where", "ac>1") == (2, "error: no experiment has 'ac'\nhint: did you mean 'acc'?\n")


def test_a_list_for_programs(team: tuple[Person, Path]) -> None:
    rows = json.loads(cwt(team, "list", "--json"))
    assert [row["id"] for row in rows] == list(reversed(IDS))
    assert rows[1]["parameters"] == {"lr": 3e-05, "epochs": 10}
    assert rows[1]["weights"] == ["w1-1"]
    assert json.loads(cwt(team, "list", "--json", "--columns", "name,acc"))[0] == {"name": "try-2", "acc": None}
    table = list(csv.DictReader(io.StringIO(cwt(team, "list", "--csv", "--sort", "lr"))))
    assert [row["acc"] for row in table] == ["0.5", "0.75", ""]
    assert cwt(team, "list", "--md", "--columns", "name,acc", "-n", "2").splitlines() == [
        "| name | acc |",
        "|---|---:|",
        "| try-2 |  |",
        "| try-1 | 0.75 |",
        "",
        "And 1 more.",
    ]


def test_one_experiment(team: tuple[Person, Path]) -> None:
    text = cwt(team, "show", "try-1")
    for line in (
        f"experiment try-1 ({IDS[1]})",
        "  took     1 min 15 s",
        "  lr      3e-5",
        "  acc  0.75",
        "  loss  █▇▆▅▄▃▂▁  8 steps",
        "  4x A100, 86 GB each",
        "  data  v1, 3 files, 2.0 KB, content dddddddddddd",
        "  requirements.txt: 1 difference",
        "  m.bin  9 B  w1-1",
        "  mlflow run7  http://example.com/run7",
    ):
        assert line in text.splitlines(), line
    assert "failed, exit code 2" in cwt(team, "show", "cccccc")
    assert cwt(team, "show", "--log", IDS[0]) == "it ran\n"
    told = json.loads(cwt(team, "show", "--json", "bbbbbb"))
    assert told["ref"] == f"refs/experiments/{IDS[1]}"
    assert told["record"]["environment"]["packages"] == {"numpy": "2.1"}
    code, said = refused(team, "show", "nobody")
    assert (code, said.splitlines()[0]) == (2, "error: no experiment is called 'nobody'")


def test_side_by_side(team: tuple[Person, Path]) -> None:
    text = cwt(team, "compare", "try-0", "try-1").splitlines()
    assert text[0].split() == ["metrics", "try-0", "try-1"]
    assert text[1].split() == ["acc", "0.5", "0.75", "+0.25", "(+50.0%)"]
    assert "  the same: epochs=10" in text
    assert any(line.split() == ["numpy", "2.0", "2.1"] for line in text)
    assert any(line.split() == ["m.bin", "w1-0", "w1-1"] for line in text)
    assert "  m.bin, try-0 -> try-1: the tensors' hashes are not known here" in text
    told = json.loads(cwt(team, "compare", *IDS, "--json"))
    assert told["differs"] is True
    assert told["metrics"] == [{"key": "acc", "values": [0.5, 0.75, None], "differs": True}]
    assert told["tensors"][1] == {"path": "m.bin", "experiment": IDS[2], "total": None, "changes": None}
    assert "| `acc` | 0.5 | 0.75 | +0.25 (+50.0%) |" in cwt(team, "compare", "try-0", "try-1", "--md").splitlines()
    assert "epochs" in cwt(team, "compare", "try-0", "try-1", "--all")


def test_an_empty_repository(tmp_path: Path) -> None:
    person = Person("bob", tmp_path / "bob")
    folder = person.repository("work")
    assert cwt((person, folder), "list").startswith("no experiments yet")
    assert json.loads(cwt((person, folder), "list", "--json")) == []
    assert refused((person, folder), "show")[0] == 2


def test_json_is_json_whatever_a_message_says(tmp_path: Path) -> None:
    person = Person("bob", tmp_path / "bob")
    folder = person.repository("work")
    person.commit(folder, message="Train hand on data v1\n- Performance: loss=nan, acc=89.1%")
    strict = {"parse_constant": pytest.fail}
    (row,) = json.loads(cwt((person, folder), "list", "--json"), **strict)  # type: ignore[arg-type]
    assert row["metrics"] == {"loss": "nan", "acc": 0.891}
    compared = json.loads(cwt((person, folder), "compare", "HEAD", "hand", "--json"), **strict)  # type: ignore[arg-type]
    assert compared["differs"] is False
