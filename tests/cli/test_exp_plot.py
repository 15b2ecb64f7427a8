"""`cwt exp plot`: files and drawings of real experiments."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from hundredweight.git.run import Git
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Record, utc
from tests.people import Person

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> tuple[Person, Path]:
    person = Person("ada", tmp_path_factory.mktemp("ada"))
    folder = person.repository("work")
    start = person.commit(folder)
    git = Git(str(folder), person.env)
    for number in range(9):
        identity = f"20261123-10000{number}-aaaaa{number}"
        curves = () if number == 8 else (f".cwt/experiments/{identity}/metrics.jsonl",)
        made = Record(
            identity,
            name=f"try-{number}",
            started=utc(1_800_000_000 + number),
            parameters={"lr": 10.0**-number, "opt": "sgd" if number % 2 else "adamw"},
            metrics={"acc": number / 10, "loss": 1 - number / 10},
            curves=curves,
        )
        lines = b"".join(
            b'{"step": %d, "loss": %f, "acc": 0.5}\n' % (step, number + 1 / (step + 1)) for step in range(8)
        )
        experiments.write(git, start, made, dict.fromkeys(curves, lines))
    return person, folder


def plot(team: tuple[Person, Path], *args: str, check: bool = True) -> tuple[str, str]:
    person, folder = team
    done = person.run("cwt", "exp", "plot", *args, cwd=folder, check=check)
    return done.stdout, done.stderr


def test_curves_as_files(team: tuple[Person, Path], tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("a.svg", "a.html", "a.PNG")]
    out, said = plot(team, "try-1", "try-2", "--title", "Two runs", *(f"--output={file}" for file in files))
    assert (out, said) == ("".join(f"wrote {file}\n" for file in files), "")
    texts = [text.text for text in ET.fromstring((tmp_path / "a.svg").read_text()).iter(f"{SVG}text")]
    assert {"Two runs", "try-1", "try-2", "loss", "acc"} <= set(texts)
    assert "<td>try-2</td><td>2.125</td><td>0.5</td>" in (tmp_path / "a.html").read_text()
    assert Image.open(io.BytesIO((tmp_path / "a.PNG").read_bytes())).width > 1000


def test_the_newest_are_drawn_where_none_are_named(team: tuple[Person, Path]) -> None:
    out, said = plot(team, "--metric", "lo*")
    assert said.splitlines() == [
        "note: the newest 7 of 9 experiments are drawn; name others to see them",
        "note: 'try-8' has no curves",
    ]
    assert [line for line in out.splitlines() if line.startswith(("A ", "F "))] == ["A try-2", "F try-7"]
    assert "acc" not in out


def test_a_parameter_against_metrics(team: tuple[Person, Path], tmp_path: Path) -> None:
    file = tmp_path / "b.svg"
    plot(team, "--against", "lr", "--by", "opt", "--log-x", "--metric", "acc", "-o", str(file))
    root = ET.fromstring(file.read_text())
    told = [title.text for title in root.iter(f"{SVG}title")]
    assert "try-3: lr 0.001, acc 0.3" in told
    assert {"opt=adamw", "opt=sgd", "lr (log)", "1e-4"} <= {text.text for text in root.iter(f"{SVG}text")}
    out, _ = plot(team, "--against", "opt", "--where", "loss>0.5")
    assert "adamw" in out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("-o", "x.gif"), "error: 'x.gif' is no kind of drawing"),
        (("--metric", "nothing"), "error: no curves to draw called nothing"),
        (("--against", "nothing"), "error: no experiment has 'nothing'"),
        (("--by", "opt"), "error: --by is for --against alone"),
        (("--where", "name=nobody"), "error: no experiment is like that"),
    ],
)
def test_what_cannot_be_drawn(team: tuple[Person, Path], args: tuple[str, ...], said: str) -> None:
    out, err = plot(team, *args, check=False)
    assert out == ""
    assert [line for line in err.splitlines() if line.startswith("error")] == [said]
    assert "hint: " in err
