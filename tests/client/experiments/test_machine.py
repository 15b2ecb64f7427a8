"""Which Python a command uses, what is installed there, and what the machine's tools tell."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hundredweight.client.experiments import machine
from hundredweight.lineage.record import Gpu

ROCM = (
    '{"card0": {"VRAM Total Memory (B)": "68702699520", "Card Series": "AMD Instinct MI250X", "Card Model": "0x740c"}}'
)
AMD = '[{"gpu": 0, "asic": {"market_name": "AMD Instinct MI300X"}, "vram": {"size": {"value": 196592, "unit": "MB"}}}]'


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A PATH with programs of this test alone."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin")}


def test_the_python_of_a_command(tmp_path: Path, variables: dict[str, str]) -> None:
    tools = tmp_path / "bin"
    for name in ("python", "python3", "python3.12", "uv", "sh"):
        program(tools / name, "")
    program(tools / "torchrun", f"#!{tools}/python3.12\n")
    program(tools / "accelerate", "#!/usr/bin/env -S python3 -u\n")
    program(tools / "long", f"#!/bin/sh\n'''exec' \"{tools}/python3.12\" \"$0\" \"$@\"\n' '''\n")
    own = program(tmp_path / ".venv/bin/python", "")
    folder = str(tmp_path)
    for command, found in (
        (("python3", "train.py"), tools / "python3"),
        (("env", "A=1", "python3.12", "train.py"), tools / "python3.12"),
        (("srun", "-n", "4", ".venv/bin/python", "t.py"), own),
        (("torchrun", "--nproc", "2", "t.py"), tools / "python3.12"),
        (("accelerate", "launch", "t.py"), tools / "python3"),
        (("long", "t.py"), tools / "python3.12"),
        (("uv", "run", "t.py"), own),
        (("sh", "train.sh"), tools / "python"),
        (("no-such-program",), tools / "python"),
        ((), tools / "python"),
    ):
        assert os.path.normpath(machine.find_python(command, folder, variables)) == str(found), command
    assert machine.find_python(("uv", "run"), folder, {**variables, "VIRTUAL_ENV": "/none"}) == str(tools / "python")
    assert machine.find_python((), folder, {"PATH": "/none"}) == ""


def test_what_is_installed_is_asked_of_that_python(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for name in ("My_Package-1.2.dist-info", "torch-2.4.0+cu124.dist-info", "old-0.1-py3.11.egg-info", "broken"):
        (site / name).mkdir(parents=True)
    (site / "torch").mkdir()
    (site / "torch/version.py").write_text("__version__ = '2.4.0'\ncuda: Optional[str] = '12.4'\n")
    variables = {**os.environ, "PYTHONPATH": str(site)}
    listed = ("requirements.txt", b"torch==2.4.0\nmy.package>=2\n")
    found = machine.environment(sys.executable, str(tmp_path), variables, listed)
    assert found.packages["my-package"] == "1.2"
    assert found.packages["old"] == "0.1"
    assert found.packages["torch"] == "2.4.0+cu124"
    assert (found.cuda, found.file, found.differs) == ("12.4", "requirements.txt", ("my-package is 1.2, wanted >=2",))
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    again = machine.environment(sys.executable, str(tmp_path), variables, None)
    assert (again.digest, again.differs, again.file) == (found.digest, (), "")
    bad = machine.environment(sys.executable, str(tmp_path), variables, ("requirements.txt", b"!"))
    assert "no list of packages" in bad.differs[0]


def test_a_python_that_gives_no_answer_leaves_it_unknown(tmp_path: Path) -> None:
    silent = program(tmp_path / "python", "#!/bin/sh\necho no\n")
    found = machine.environment(str(silent), str(tmp_path), dict(os.environ), ("requirements.txt", b"a==1"))
    assert (found.python, found.packages, found.digest, found.differs) == ("", {}, "", ())


@pytest.mark.parametrize(
    ("tool", "said", "gpu"),
    [
        ("amd-smi", AMD, Gpu("AMD Instinct MI300X", 196592 << 20, 1)),
        ("rocm-smi", ROCM, Gpu("AMD Instinct MI250X", 68702699520, 1)),
        ("nvidia-smi", "0, GPU-1, Tesla T4, 15360", Gpu("Tesla T4", 15360 << 20, 1)),
    ],
)
def test_gpus(tmp_path: Path, variables: dict[str, str], tool: str, said: str, gpu: Gpu) -> None:
    program(tmp_path / "bin" / tool, f"#!/bin/sh\necho '{said}'\n")
    found = machine.machine(variables)
    assert found.gpus == (gpu,)
    assert found.cores > 0
    assert found.memory > 1 << 28
    assert found.cpu
    none = machine.machine({**variables, "HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": ""})
    assert none.gpus == ()


def test_a_tool_that_fails_is_no_gpu(tmp_path: Path, variables: dict[str, str]) -> None:
    program(tmp_path / "bin/nvidia-smi", "#!/bin/sh\necho '0, GPU-1, Tesla T4, 15360'\nexit 9\n")
    assert machine.machine(variables).gpus == ()
    assert machine.driver_cuda(variables) == ""
