"""A child read while it runs: no pipe blocks another, and none outlives its reader."""

from __future__ import annotations

import os
import resource

import pytest

from hundredweight.git.process import Running

ENV = {"PATH": os.environ["PATH"]}


def test_input_output_and_errors_flow_at_once() -> None:
    data = b"0123456789" * 300_000
    with Running(["sh", "-c", "tee /dev/stderr"], ENV) as process:
        assert b"".join(process.chunks(data)) == data
        assert process.said == data
        assert process.wait() == 0
        assert process.wait() == 0


def test_a_child_that_does_not_read_is_no_failure_of_its_own() -> None:
    with Running(["sh", "-c", "exit 7"], ENV) as process:
        assert list(process.chunks(b"x" * 1_000_000)) == []
        assert process.wait() == 7


def test_questions_and_answers() -> None:
    with Running(["cat"], ENV, errors=False) as process:
        process.send(b"one\n")
        assert process.stream.readline() == b"one\n"
        process.send(b"two\n")
        assert process.stream.readline() == b"two\n"
    process.close()
    assert process.wait() in (0, -9), "its input ended, or it was ended"


def test_leaving_ends_a_child_that_nobody_hears() -> None:
    with Running(["yes"], ENV) as process:
        assert next(process.chunks()) != b""
    assert process.wait() != 0, "killed, or told by its closed pipe"
    with Running(["true"], ENV) as process:
        assert list(process.chunks()) == []


def test_no_such_program_leaves_no_descriptor_behind() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        with pytest.raises(FileNotFoundError):
            Running(["no-such-program-anywhere"], ENV)
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_descriptors_above_the_reach_of_select() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("too few descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with Running(["echo", "here"], ENV) as process:
            assert b"".join(process.chunks()) == b"here\n"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
