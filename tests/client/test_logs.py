"""Logs of accidents: kept, listed, read, cleared."""

from __future__ import annotations

from pathlib import Path

import pytest

from hundredweight.client.logs import NoSuchLog, clear_logs, log_names, logs_folder, read_log, write_log
from tests.clones import Clone


def test_logs_from_first_to_last(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    space = clone.workspace()
    assert log_names(space) == []
    clear_logs(space)
    paths = [write_log(space, f"accident {number}\n") for number in range(3)]
    assert [str(Path(logs_folder(space)) / name) for name in log_names(space)] == paths
    assert read_log(space, log_names(space)[-1]) == b"accident 2\n"
    for name in ("none", "../config"):
        with pytest.raises(NoSuchLog):
            read_log(space, name)
    clear_logs(space)
    assert log_names(space) == []
