"""The digits example as its README uses it: the scripts run as processes, the service is asked over HTTP."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9905120\n"
BLANK = [0] * 64

Connection = http.client.HTTPConnection
Answer = tuple[int, Any]


def run(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the example to its end."""
    command = [sys.executable, str(DIGITS / script), *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)


def train(out: Path, *arguments: str | Path, **environment: str) -> dict[str, Any]:
    """Train to a weights file and return its metrics."""
    done = run("train.py", "--out", out, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    metrics: dict[str, Any] = json.loads(out.with_name("metrics.json").read_text())
    return metrics


def recorded(weights: Path) -> dict[str, Any]:
    """Return the training record of a weights file."""
    with safe_open(weights, framework="np") as file:
        training: dict[str, Any] = json.loads(file.metadata()["training"])
    return training


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def images(name: str) -> list[tuple[list[int], int]]:
    """Return the (pixels, digit) pairs of a data file."""
    with (DIGITS / "data" / name).open(newline="") as file:
        rows = [list(map(int, row)) for row in list(csv.reader(file))[1:]]
    return [(row[:64], row[64]) for row in rows]


@contextmanager
def service(weights: Path) -> Iterator[tuple[subprocess.Popen[str], Connection]]:
    """Run the service on a free port; it is stopped at the end, if it still runs."""
    command = [sys.executable, str(DIGITS / "app.py"), "--weights", str(weights), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            heading, _, url = process.stdout.readline().strip().partition(" http://")
            assert heading == "listening on"
            host, _, port = url.partition(":")
            yield process, Connection(host, int(port), timeout=10)
        finally:
            process.kill()


def ask(connection: Connection, method: str, path: str, body: str | bytes | None = None) -> Answer:
    """Return status and decoded JSON of the answer."""
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "application/json"
    return response.status, json.loads(response.read())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the default size after a short training."""
    weights = tmp_path_factory.mktemp("first") / "model.safetensors"
    train(weights, "--epochs", "4")
    return weights


@pytest.fixture(scope="module")
def connection(first: Path) -> Iterator[Connection]:
    """A connection to a service with these weights."""
    with service(first) as (_, opened):
        yield opened


def test_data_are_all_images_once_and_balanced() -> None:
    given, test = images("train.csv"), images("test.csv")
    assert len(given) + len(test) == 1797
    assert all(0 <= value <= 16 for pixels, _ in given + test for value in pixels)
    counts = np.bincount([digit for _, digit in test])
    assert counts.shape == (10,)
    assert counts.min() >= 34
    assert counts.max() <= 36
    assert not {tuple(pixels) for pixels, _ in given} & {tuple(pixels) for pixels, _ in test}


def test_training_is_accurate_and_records_itself(first: Path) -> None:
    metrics = json.loads(first.with_name("metrics.json").read_text())
    assert metrics["test_accuracy"] > 0.95
    assert metrics["seconds"] > 0
    assert 8e6 < first.stat().st_size < 20e6
    tensors = load_file(first)
    assert metrics["parameters"] == sum(tensor.size for tensor in tensors.values())
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float32"}
    record = recorded(first)
    assert record["epochs"] == 4
    assert record["init_sha256"] is None
    assert record["data_sha256"] == sha256(DIGITS / "data" / "train.csv")
    del metrics["seconds"]
    assert metrics.items() <= record.items()
    assert sorted(path.name for path in first.parent.iterdir()) == ["metrics.json", "model.safetensors"]


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    small = ("--hidden", "512", "512", "--epochs", "1", "--shift", "1", "--noise", "0.5")
    for name, seed, threads in [("a", "5", "1"), ("b", "5", "2"), ("c", "6", "1")]:
        train(tmp_path / name, *small, "--seed", seed, OPENBLAS_NUM_THREADS=threads)
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b") != sha256(tmp_path / "c")


def test_fine_tuning_starts_from_the_file_and_learns_moved_digits(first: Path, tmp_path: Path) -> None:
    before = json.loads(first.with_name("metrics.json").read_text())
    after = train(tmp_path / "tuned", "--init", first, "--shift", "1", "--epochs", "4")
    assert after["shifted_accuracy"] > before["shifted_accuracy"] + 0.2
    assert recorded(tmp_path / "tuned")["init_sha256"] == sha256(first)
    old, new = load_file(first), load_file(tmp_path / "tuned")
    assert old.keys() == new.keys()
    # The file was the start: a fine-tune moves the weights less than they differ from other weights.
    name = "layers.1.weight"
    assert 0 < np.abs(new[name] - old[name]).mean() < 0.2 * np.abs(old[name]).mean()


def test_a_file_of_settings_counts_as_the_command_line_does(tmp_path: Path) -> None:
    params = tmp_path / "params.toml"
    params.write_text("lr = 0.02\nepochs = 3\nseed = 7\n")
    train(
        tmp_path / "a", "--hidden", "64", "--params", params, "--epochs", "2", "--history", tmp_path / "history.jsonl"
    )
    train(tmp_path / "b", "--hidden", "64", "--lr", "0.02", "--seed", "7", "--epochs", "2")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")
    history = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in history] == [1, 2]
    assert history[1]["train_loss"] < history[0]["train_loss"]
    params.write_text("learning_rate = 1\n")
    refused = run("train.py", "--out", tmp_path / "a", "--params", params)
    assert refused.returncode == 1
    assert "sets 'learning_rate'; hint: what may be set is epochs, lr," in refused.stderr


def test_only_the_named_layers_change(first: Path, tmp_path: Path) -> None:
    train(tmp_path / "head", "--init", first, "--only", "2", "--epochs", "1")
    old, new = load_file(first), load_file(tmp_path / "head")
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"layers.2.weight", "layers.2.bias"}
    assert recorded(tmp_path / "head")["only"] == [2]
    refused = run("train.py", "--init", first, "--out", tmp_path / "head", "--only", "1", "3")
    assert refused.returncode == 1
    assert refused.stderr == "error: there is no layer 3; hint: name layers 0..2 with --only\n"


def test_evaluation_tells_what_training_told(first: Path) -> None:
    done = run("evaluate.py", first)
    assert json.loads(done.stdout).items() <= recorded(first).items()
    assert set(json.loads(done.stdout)) == {"test_accuracy", "shifted_accuracy", "parameters"}
    assert run("evaluate.py", first, "--at-least", "0.5").returncode == 0
    assert run("evaluate.py", first, "--at-least", "0.999").returncode == 1
    missing = run("evaluate.py", first.with_name("none.safetensors"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "does not exist; hint: train it" in missing.stderr


def test_refused_training_keeps_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    out.write_text(POINTER)
    diverged = run("train.py", "--out", out, "--lr", "1e6", "--epochs", "1")
    pointer = run("train.py", "--out", out, "--init", out)
    nowhere = run("train.py", "--out", tmp_path / "none" / "model.safetensors")
    no_data = run("train.py", "--out", out, "--data", tmp_path)
    assert [done.returncode for done in (diverged, pointer, nowhere, no_data)] == [1, 1, 1, 1]
    assert "error: training diverged in epoch 1; hint: use an --lr below 1e+06\n" in diverged.stderr
    assert "is a Git LFS pointer, not weights; hint: run 'git lfs pull'\n" in pointer.stderr
    assert "none' does not exist; hint: run 'mkdir -p" in nowhere.stderr
    assert "train.csv': No such file or directory; hint: restore the data folder" in no_data.stderr
    assert run("train.py", "--out", out, "--epochs", "0").returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert out.read_text() == POINTER


def test_service_tells_its_health_and_weights(connection: Connection, first: Path) -> None:
    assert ask(connection, "GET", "/healthz") == (200, {"status": "ok"})
    metrics = json.loads(first.with_name("metrics.json").read_text())
    assert ask(connection, "GET", "/version") == (
        200,
        {
            "sha256": sha256(first),
            "size": first.stat().st_size,
            "parameters": metrics["parameters"],
            "test_accuracy": metrics["test_accuracy"],
        },
    )


def test_service_is_as_accurate_as_its_weights(connection: Connection) -> None:
    test = images("test.csv")
    body = json.dumps([{"pixels": pixels} for pixels, _ in test])
    status, answers = ask(connection, "POST", "/predict", body)
    assert status == 200
    right = [answer["digit"] == digit for answer, (_, digit) in zip(answers, test, strict=True)]
    assert round(sum(right) / len(right), 6) == ask(connection, "GET", "/version")[1]["test_accuracy"]
    status, answer = ask(connection, "POST", "/predict", json.dumps({"pixels": test[0][0]}))
    assert status == 200
    assert answer["digit"] == answers[0]["digit"]
    assert answer["probability"] == pytest.approx(answers[0]["probability"], abs=1e-4)
    assert 0.1 < answer["probability"] <= 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        b"\xff",
        "[" * 100_000,
        "7",
        "{}",
        json.dumps({"pixels": BLANK[1:]}),
        json.dumps({"pixels": [*BLANK[1:], 16.5]}),
        json.dumps({"pixels": [*BLANK[1:], -1]}),
        json.dumps({"pixels": [*BLANK[1:], True]}),
        json.dumps({"pixels": [*BLANK[1:], "1"]}),
        json.dumps({"pixels": [*BLANK[1:], float("nan")]}),
        json.dumps([{"pixels": BLANK}, BLANK]),
    ],
    ids=lambda body: str(body)[:12],
)
def test_service_refuses_what_is_no_image(connection: Connection, body: str | bytes) -> None:
    status, answer = ask(connection, "POST", "/predict", body)
    assert status == 400
    assert answer["error"] == "the body is not JSON" or answer["error"].startswith("image ")


def test_service_refuses_other_requests(connection: Connection) -> None:
    large = b" " * 2_000_000
    assert ask(connection, "POST", "/predict", large) == (
        413,
        {"error": "the body is larger than 1048576 bytes"},
    )
    assert ask(connection, "GET", "/nothing") == (404, {"error": "no such path '/nothing'"})
    assert ask(connection, "GET", "/predict") == (405, {"error": "'/predict' takes POST only"})
    assert ask(connection, "POST", "/version", "{}") == (405, {"error": "'/version' takes GET only"})
    assert ask(connection, "PUT", "/predict", "{}") == (501, {"error": "Unsupported method ('PUT')"})
    connection.putrequest("POST", "/predict")
    connection.endheaders()
    assert connection.getresponse().status == 411
    connection.close()
    assert ask(connection, "GET", "/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_stops_cleanly(first: Path, number: signal.Signals) -> None:
    with service(first) as (process, opened):
        assert ask(opened, "GET", "/healthz")[0] == 200
        opened.connect()  # an idle client does not hold up the end
        process.send_signal(number)
        assert process.wait(timeout=4) == 0
        opened.close()


def test_service_refuses_what_is_no_weights(first: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text(POINTER)
    (tmp_path / "short").write_bytes(first.read_bytes()[:5_000_000])
    narrow = {"layers.0.weight": np.zeros((10, 63), np.float32), "layers.0.bias": np.zeros(10, np.float32)}
    save_file(narrow, tmp_path / "other")
    wanted = {
        "model.safetensors": ("is a Git LFS pointer, not weights", "run 'git lfs pull'"),
        "short": ("is not a complete safetensors file", f"run 'git checkout -- {tmp_path}/short' to restore"),
        "other": ("holds no digit network (layer 0 has shapes (10, 63)", "use a file written by train.py"),
        "none": ("does not exist", f"train it with 'python train.py --out {tmp_path}/none'"),
    }
    for name, (fault, hint) in wanted.items():
        done = run("app.py", "--weights", tmp_path / name)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: '{tmp_path / name}' {fault}")
        assert f"; hint: {hint}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_service_refuses_a_taken_port(connection: Connection, first: Path) -> None:
    done = run("app.py", "--weights", first, "--port", str(connection.port))
    assert done.returncode == 1
    assert done.stderr == (
        f"error: cannot listen on '127.0.0.1:{connection.port}': Address already in use; "
        "hint: choose another --host or --port (0: any free port)\n"
    )
