"""The line of progress and the lines for GIT_LFS_PROGRESS, in git-lfs's own form."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from hundredweight.cli.env import Environment
from hundredweight.cli.progress import TransferMeter, open_meter
from hundredweight.git.config import Config


def test_the_last_state_is_always_shown() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=False)
    meter.start("upload", 0, 0)
    meter.add(3, 3000)
    for name in ("a", "b"):
        meter.begin(name, 1000)
        meter.advance(name, 1000)
        meter.done(name)
    meter.failed("c")
    meter.finish()
    assert out.getvalue() == "Uploading LFS objects:  67% (2/3), 2.0 KB | 0 B/s, done.\n"


def test_nothing_to_do_is_not_shown() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=True)
    meter.start("download", 0, 0)
    meter.finish()
    assert out.getvalue() == ""


def test_a_watched_line_is_redrawn_in_place_and_not_too_often() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=True)
    meter.start("download", 1, 100)
    for _ in range(100):
        meter.advance("a", 1)
    meter.done("a")
    meter.finish()
    lines = out.getvalue().split("\r")
    assert lines[0].rstrip() == "Downloading LFS objects:   0% (0/1), 0 B | 0 B/s"
    assert lines[-1] == "Downloading LFS objects: 100% (1/1), 100 B | 0 B/s, done.\n"
    assert len(lines) == 2


def test_bytes_of_a_failed_try_do_not_count() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=False)
    meter.start("checkout", 1, 10)
    meter.advance("a", 7)
    meter.advance("a", -7)
    meter.advance("a", 10)
    meter.done("a")
    meter.finish()
    assert out.getvalue() == "Checking out LFS objects: 100% (1/1), 10 B | 0 B/s, done.\n"


def test_a_second_round_begins_anew() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=False)
    for _ in range(2):
        meter.start("download", 1, 1)
        meter.advance("a", 1)
        meter.done("a")
        meter.finish()
    assert out.getvalue() == "Downloading LFS objects: 100% (1/1), 1 B | 0 B/s, done.\n" * 2


def test_the_log_has_a_line_for_each_piece(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "progress"
    environment = Environment({"GIT_LFS_PROGRESS": str(path)}, "/")
    meter = open_meter(environment, Config())
    meter.start("download", 2, 0)
    meter.begin("a b", 4)
    meter.begin("c", 6)
    meter.advance("a b", 1)
    meter.advance("c", 6)
    meter.advance("a b", 3)
    meter.advance("c", -6)
    meter.finish()
    assert path.read_text().splitlines() == ["download 1/2 1/4 a b", "download 2/2 6/6 c", "download 1/2 4/4 a b"]


def test_the_log_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    path.write_text("before\n")
    meter = open_meter(Environment({"GIT_LFS_PROGRESS": str(path)}, "/"), Config())
    meter.start("upload", 1, 1)
    meter.advance("a", 1)
    meter.finish()
    assert path.read_text() == "before\nupload 1/1 1/1 a\n"


@pytest.mark.parametrize("target", ["relative", "/dev/null/nowhere"])
def test_a_log_that_cannot_be(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    meter = open_meter(Environment({"GIT_LFS_PROGRESS": target}, "/"), Config())
    meter.start("upload", 1, 1)
    meter.finish()
    assert "Error creating progress logger: " in capsys.readouterr().err


def test_a_log_that_breaks_does_not_stop_the_transfer(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    meter = TransferMeter(io.StringIO(), live=False, log=write)
    meter.start("upload", 1, 2)
    meter.advance("a", 1)
    meter.advance("a", 1)
    meter.finish()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(write)


def test_many_threads_at_once() -> None:
    out = io.StringIO()
    meter = TransferMeter(out, live=False)
    meter.start("upload", 8, 8000)

    def move(name: str) -> None:
        for _ in range(1000):
            meter.advance(name, 1)
        meter.done(name)

    threads = [threading.Thread(target=move, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.finish()
    assert out.getvalue() == "Uploading LFS objects: 100% (8/8), 8.0 KB | 0 B/s, done.\n"
