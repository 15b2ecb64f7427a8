"""`cwt exp run`: what a training was is in its commit, whatever became of it, and nothing else moves."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hundredweight.lineage.record import FOLDER, Status
from hundredweight.protocol.pointer import try_parse
from tests.client.experiments.trainings import curve_of, file_of, found, project
from tests.people import Person


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person("ana", tmp_path / "ana")


def exp_run(person: Person, folder: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return person.run("cwt", "exp", "run", *args, cwd=folder, check=check)


def test_a_training_with_all_that_is_behind_it(person: Person) -> None:
    folder = project(person)
    head = person.git("rev-parse", "HEAD", cwd=folder)
    done = exp_run(person, folder, "--set", "lr=3e-5", "--name", "low", "--", "python", "train.py")
    assert done.stdout == "trained 3e-05\n"
    assert "careful" in done.stderr
    (made,) = found(person, folder)
    known = made.record
    assert (known.name, known.status, known.exit_code, known.seed) == ("low", Status.DONE, 0, 7)
    assert known.parameters == {"lr": 3e-05, "seed": 7, "train.epochs": 8}
    assert known.metrics == {"loss": pytest.approx(1 / 3e-05), "data": 4, "train_loss": 1}
    assert [point["train_loss"] for point in curve_of(person, folder, made)] == [3, 2, 1]
    assert (known.code.commit, known.code.dirty) == (head, False)
    assert [(data.path, data.version, data.files) for data in known.data] == [("data", "v1.1", 1)]
    assert known.environment.python == ".".join(map(str, __import__("sys").version_info[:3]))
    assert known.environment.differs == ("nobody-has-this is not installed, wanted 1.0",)
    assert "blake3" in known.environment.packages
    assert known.hardware.cores > 0
    (weights,) = known.weights
    assert weights.weights_id.startswith("w1-")
    pointer = try_parse(file_of(person, folder, made, "model.safetensors").encode() + b"\n")
    assert pointer is not None
    assert (pointer.oid, pointer.size) == (weights.oid, weights.size)
    assert (
        folder / ".git/lfs/objects" / weights.oid[:2] / weights.oid[2:4] / weights.oid
    ).stat().st_size == weights.size
    assert sorted(file_of(person, folder, made, known.log).splitlines()) == ["careful", "trained 3e-05"]
    assert "lr = 3e-05  # at the start" in file_of(person, folder, made, "params.toml")
    message = person.git("log", "-1", "--format=%B", made.commit, cwd=folder)
    assert message.startswith(
        "Train low on data v1.1\n- Hyperparameters: lr=3e-5, seed=7, train.epochs=8\n- Hardware: "
    )
    trailers = person.run("git", "interpret-trailers", "--parse", stdin=message, cwd=folder).stdout
    assert f"Experiment: {known.id}\nDataset: data@v1.1\n" in trailers
    assert f"Weights-Id: {weights.weights_id}\n" in trailers
    # Nothing else moved; the work tree keeps what the training wrote.
    assert person.git("rev-parse", "HEAD", cwd=folder) == head
    assert person.git("diff", "--cached", "--name-only", cwd=folder) == ""
    assert (folder / "model.safetensors").stat().st_size == weights.size
    assert person.git("fsck", "--strict", "--no-dangling", cwd=folder) == ""
    assert not list((folder / ".git/hundredweight/runs").iterdir())


def test_a_grid_runs_each_in_a_work_tree_of_its_own(person: Person) -> None:
    folder = project(person)
    args = ("--set", "lr=0.1,0.2", "--set", "train.epochs=1,2", "--set", "note=x", "--jobs", "2", "--branch")
    done = exp_run(person, folder, *args, "--", "python", "train.py")
    assert "note: no parameter file has 'note': the command gets it as CWT_PARAM_NOTE alone" in done.stderr
    assert "[digits-lr=0.1-epochs=2] trained 0.1" in done.stdout
    listed = found(person, folder)
    assert sorted((made.record.parameters["lr"], made.record.parameters["train.epochs"]) for made in listed) == [
        (0.1, 1),
        (0.1, 2),
        (0.2, 1),
        (0.2, 2),
    ]
    assert len({made.record.weights[0].weights_id for made in listed}) == 4
    assert all(made.record.parameters["note"] == "x" for made in listed)
    branches = person.git("for-each-ref", "--format=%(objectname)", "refs/heads/digits-*", cwd=folder).split()
    assert sorted(branches) == sorted(made.commit for made in listed)
    assert person.git("status", "--porcelain", cwd=folder) == ""
    assert len(person.git("worktree", "list", cwd=folder).splitlines()) == 1
    assert {made.record.code.dirty for made in listed} == {False}


def test_what_is_uncommitted_goes_along(person: Person) -> None:
    folder = project(person)
    (folder / "train.py").write_text((folder / "train.py").read_text() + "import more\n")
    (folder / "more.py").write_text("print('more')\n")
    (folder / "data/train.csv").write_text("1,2\n3,4\n")
    (folder / "go.sh").write_text("#!/bin/sh\npython train.py; echo '# edited' >> train.py\n")
    (folder / "go.sh").chmod(0o755)
    exp_run(person, folder, "--jobs", "1", "--", "./go.sh")
    exp_run(person, folder, "--", "./go.sh")
    for made in found(person, folder):
        assert made.record.code.dirty
        assert made.record.metrics["data"] == 8
        assert made.record.data[0].bytes == 8
        assert "edited" not in file_of(person, folder, made, "train.py")
        assert file_of(person, folder, made, "more.py") == "print('more')"
        assert person.git("ls-tree", made.commit, "go.sh", cwd=folder).startswith("100755")


@pytest.mark.parametrize(("code", "status"), [(3, Status.FAILED), (0, Status.DONE), (137, Status.KILLED)])
def test_the_exit_code_is_the_commands(person: Person, code: int, status: Status) -> None:
    folder = project(person)
    assert exp_run(person, folder, "--", "sh", "-c", f"exit {code}", check=False).returncode == code
    (made,) = found(person, folder)
    assert (made.record.status, made.record.exit_code, made.record.weights) == (status, code, ())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_training(person: Person, number: signal.Signals) -> None:
    folder = project(person)
    script = "import time\nprint('on', flush=True)\ntime.sleep(60)"
    with start(person, folder, "python", "-c", script) as process:
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    (made,) = found(person, folder)
    assert made.record.status is Status.KILLED
    assert "on" in file_of(person, folder, made, made.record.log)


def start(person: Person, folder: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """A running experiment that has printed something."""
    process = subprocess.Popen(
        ["cwt", "exp", "run", *options, "--", *command], cwd=folder, env=person.env, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


@pytest.mark.parametrize("options", [(), ("--jobs", "1")])
def test_a_killed_recorder_is_recorded_by_the_next_command(person: Person, options: tuple[str, ...]) -> None:
    folder = project(person)
    script = (
        "import os, time\nopen(os.environ['CWT_METRICS'], 'w').write('{\"step\": 1, \"loss\": 2}\\n')\n"
        f"open({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\nprint('on', flush=True)\ntime.sleep(60)"
    )
    with start(person, folder, "python", "-c", script, options=(*options, "--set", "lr=0.5")) as process:
        process.kill()
        process.wait()
    training = int((folder / "pid").read_text())
    said = exp_run(person, folder, "--name", "second", "--", "true").stderr
    assert ("runs in this work tree too" in said) is (options == ())
    assert [made.record.name for made in found(person, folder)] == ["second"]
    os.kill(training, signal.SIGKILL)
    for _ in range(100):
        if not Path(f"/proc/{training}").exists():
            break
        time.sleep(0.05)
    done = exp_run(person, folder, "--name", "third", "--", "true")
    assert "was killed; it is recorded so" in done.stderr
    (made,) = [made for made in found(person, folder) if made.record.name == "digits"]
    assert (made.record.status, made.record.exit_code) == (Status.KILLED, 137)
    assert made.record.parameters["lr"] == 0.5
    assert made.record.metrics == {"loss": 2}
    assert not list((folder / ".git/hundredweight/runs").iterdir())
    assert len(person.git("worktree", "list", cwd=folder).splitlines()) == 1


def test_the_branch_that_is_checked_out_takes_the_experiment(person: Person) -> None:
    folder = project(person)
    exp_run(person, folder, "--name", "main", "--branch", "--", "python", "train.py")
    (made,) = found(person, folder)
    assert person.git("rev-parse", "main", cwd=folder) == made.commit
    assert person.git("status", "--porcelain", cwd=folder) == ""
    assert (folder / FOLDER / f"{made.record.id}.json").is_file()
    exp_run(person, folder, "--name", "next", "--", "true")
    assert {other.record.base for other in found(person, folder)} == {"", made.record.id}
    person.commit(folder, {}, "on")
    exp_run(person, folder, "--branch", "exp/a", "--set", "lr=1,2", "--", "true")
    assert person.git("branch", "--list", "exp/*", cwd=folder).split() == ["exp/a-lr=1", "exp/a-lr=2"]
    person.git("branch", "taken", "HEAD~1", cwd=folder)
    assert exp_run(person, folder, "--name", "taken", "--branch", "--", "true", check=False).returncode == 2
    assert len(found(person, folder)) == 4


def test_the_settings_may_name_the_command(person: Person) -> None:
    folder = project(person)
    settings = folder / "hundredweight.toml"
    settings.write_text(settings.read_text() + "command = \"sh -c 'echo {lr}'\"\n")
    assert exp_run(person, folder, "--set", "lr=2").stdout == "2\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--",), "name a command"),
        (("--set", "lr", "--", "true"), "is no setting"),
        (("--set", "lr=1", "--set", "lr=2", "--", "true"), "set twice"),
        (("--set", "other.toml:lr=1", "--", "true"), "has no 'lr'"),
        (("--name", "a..b", "--branch", "--", "true"), "cannot be the name of a branch"),
        (("--", "no-such-program"), "cannot run 'no-such-program'"),
    ],
)
def test_what_makes_no_sense_records_nothing(person: Person, args: tuple[str, ...], said: str) -> None:
    folder = project(person)
    done = exp_run(person, folder, *args, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert found(person, folder) == []
    assert not list((folder / ".git").glob("hundredweight/runs/*"))


def test_placeholders_and_variables_carry_settings(person: Person) -> None:
    folder = project(person)
    done = exp_run(person, folder, "--set", "opt.name=adam", "--", "sh", "-c", "echo {opt.name} $CWT_PARAM_OPT_NAME {}")
    assert done.stdout == "adam adam {}\n"
    assert "note: no parameter file" not in done.stderr
    assert found(person, folder)[0].record.parameters["opt.name"] == "adam"


def test_weights_outside_lfs_become_pointers_all_the_same(person: Person) -> None:
    folder = person.repository("plain")
    person.commit(folder, {"a.py": b"open('out.pt', 'wb').write(b'x' * 5000)\n", ".gitignore": b"*.log\n"})
    done = exp_run(person, folder, "--", "python", "a.py")
    assert "'out.pt' is not in .gitattributes" in done.stderr
    (made,) = found(person, folder)
    assert made.record.name == "plain"
    assert try_parse(file_of(person, folder, made, "out.pt").encode() + b"\n") is not None
    assert file_of(person, folder, made, ".gitattributes") == "/out.pt filter=lfs diff=lfs merge=lfs -text"
    assert person.git("status", "--porcelain", cwd=folder) == "?? out.pt"


def test_a_repository_without_commits_has_experiments_too(person: Person) -> None:
    folder = person.repository("empty")
    exp_run(person, folder, "--", "true")
    exp_run(person, folder, "--jobs", "1", "--", "true")
    assert [made.record.code.commit for made in found(person, folder)] == ["", ""]


def test_only_the_first_process_of_several_records(person: Person) -> None:
    folder = project(person)
    done = person.run("cwt", "exp", "run", "--", "echo", "hello", cwd=folder, RANK="1")
    assert done.stdout == "hello\n"
    assert found(person, folder) == []


def test_gpus_and_trackers_are_noted(person: Person, tmp_path: Path) -> None:
    folder = project(person)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text(
        '#!/bin/sh\ncase "$1" in\n--query*) for n in 0 1 2 3; do echo "$n, GPU-$n, NVIDIA A100-SXM4-80GB, 81920"; done;;\n'
        '*) echo "| Driver Version: 550.54  CUDA Version: 12.4 |";;\nesac\n'
    )
    (tools / "nvidia-smi").chmod(0o755)
    person.env["PATH"] = f"{tools}:{person.env['PATH']}"
    script = "mkdir -p wandb/run-20260101_120000-ab12cd && ln -s run-20260101_120000-ab12cd wandb/latest-run"
    person.run(
        *("cwt", "exp", "run", "--", "sh", "-c", script),
        cwd=folder,
        CUDA_VISIBLE_DEVICES="0,2",
        MLFLOW_RUN_ID="f" * 32,
        SLURM_JOB_ID="77",
    )
    (made,) = found(person, folder)
    assert str(made.record.hardware) == "2x A100-SXM4-80GB GPUs"
    assert made.record.environment.cuda == "12.4"
    assert [f"{run.kind}:{run.run}" for run in made.record.trackers] == [
        f"mlflow:{'f' * 32}",
        "slurm:77",
        "wandb:ab12cd",
    ]


@pytest.mark.parametrize("options", [(), ("--jobs", "1")])
def test_what_cannot_be_recorded_is_kept_for_the_next_command(person: Person, options: tuple[str, ...]) -> None:
    folder = project(person)
    objects = folder / ".git/lfs/objects"
    script = f"python train.py; mkdir -p {objects}; rm -rf {objects}; touch {objects}"
    done = exp_run(person, folder, *options, "--", "sh", "-c", script, check=False)
    assert done.returncode == 1
    assert "hint: something else stands in the way" in done.stderr
    assert "ended and is kept" in done.stderr
    assert "cannot be recorded yet" in exp_run(person, folder, "--", "true").stderr
    objects.unlink()
    exp_run(person, folder, "--", "true")
    (made,) = [made for made in found(person, folder) if made.record.weights]
    assert (made.record.status, made.record.metrics["data"]) == (Status.DONE, 4)
    assert (folder / ".git/lfs/objects" / made.record.weights[0].oid[:2]).is_dir()
    assert not list((folder / ".git/hundredweight/runs").iterdir())


def test_runs_see_the_contents_of_lfs_files_and_folders_below_the_top(person: Person) -> None:
    folder = project(person)
    person.commit(folder, {"base.pt": b"weights" * 500, "sub/run.py": b"print(len(open('../base.pt', 'rb').read()))\n"})
    for options in ((), ("--jobs", "2")):
        done = exp_run(person, folder / "sub", *options, "--", "python", "run.py")
        assert done.stdout.endswith("3500\n")
    person.git("clone", "-q", f"file://{folder}", "other", GIT_LFS_SKIP_SMUDGE="1")
    clone = person.home / "other"
    done = exp_run(person, clone, "--jobs", "1", "--", "true", check=False)
    assert done.returncode == 1
    assert "hint: run 'git lfs pull' first" in done.stderr
    assert found(person, clone) == []
    assert len(person.git("worktree", "list", cwd=clone).splitlines()) == 1


@pytest.mark.parametrize("options", [(), ("--jobs", "1")])
def test_data_that_git_does_not_have_is_told(person: Person, options: tuple[str, ...]) -> None:
    folder = project(person)
    person.commit(folder, {".gitignore": b"/data\n"})
    person.git("rm", "-q", "-r", "--cached", "data", cwd=folder)
    person.git("commit", "-q", "-m", "data elsewhere", cwd=folder)
    done = exp_run(person, folder, *options, "--", "python", "train.py")
    assert "git does not have 'data'" in done.stderr
    (made,) = found(person, folder)
    assert made.record.metrics["data"] == 4
    assert made.record.data[0].digest == ""


def test_a_single_training_reads_what_it_is_given(person: Person) -> None:
    folder = project(person)
    done = person.run("cwt", "exp", "run", "--", "cat", cwd=folder, stdin="piped")
    assert done.stdout == "piped"
    assert person.run("cwt", "exp", "run", "--jobs", "1", "--", "cat", cwd=folder, stdin="piped").stdout == ""


def test_an_interrupt_at_the_terminal_comes_once(person: Person) -> None:
    folder = project(person)
    script = (
        "import sys, time\ntry:\n    print('on', sys.stdin.isatty(), flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.3)\n    print('saved', flush=True)\n    sys.exit(1)"
    )
    process, terminal = pty.fork()
    if not process:
        os.chdir(folder)
        os.execvpe("cwt", ["cwt", "exp", "run", "--", "python", "-c", script], person.env)
    said = b""
    while b"on True" not in said:
        said += os.read(terminal, 1 << 12)
    os.write(terminal, b"\x03")
    while b"recorded" not in said:
        said += os.read(terminal, 1 << 12)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 1
    os.close(terminal)
    assert b"saved" in said
    (made,) = found(person, folder)
    assert (made.record.status, made.record.exit_code) == (Status.KILLED, 1)


def test_any_names_of_files(person: Person) -> None:
    folder = project(person)
    names = ['"q.py', "n\nl.py", "sp ace.py", os.fsdecode(b"bad\xff.py"), "ä.py"]
    for name in names:
        (folder / name).write_text(name.encode("unicode_escape", "replace").decode() if name.isascii() else "x")
    exp_run(person, folder, "--", "true")
    (made,) = found(person, folder)
    listed = subprocess.run(
        ["git", "ls-tree", "-z", "--name-only", made.commit],
        cwd=folder,
        env=person.env,
        capture_output=True,
        check=True,
    )
    assert {os.fsencode(name) for name in names} < set(listed.stdout.split(b"\0"))


def test_a_long_log_keeps_both_ends(person: Person) -> None:
    folder = project(person)
    script = "for n in range(200000): print(n, 'x' * 50)"
    exp_run(person, folder, "--", "python", "-c", script)
    (made,) = found(person, folder)
    log = file_of(person, folder, made, made.record.log)
    assert log.startswith("0 xx")
    assert log.splitlines()[-1].startswith("199999 ")
    assert "bytes left out ...]" in log
    assert len(log) < 1_100_000
