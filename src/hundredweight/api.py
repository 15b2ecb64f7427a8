"""What Python programs use: `import hundredweight`. Light: a training pays nothing for it."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, SupportsFloat, SupportsInt

from hundredweight.base.files import append
from hundredweight.client.experiments.ranks import rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from hundredweight.client.tensor_arrays import Tensors
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.releases import Release

    Number = bool | int | float | str | SupportsFloat | SupportsInt

METRICS = "metrics.jsonl"
_VARIABLE = "CWT_METRICS"


def log(metrics: Mapping[str, Number], *, step: int | None = None, epoch: float | None = None) -> None:
    """Note metrics of a training, as one point of its curves; the last values are what the experiment ends with.

    Under `cwt exp run` they go to the experiment; elsewhere they are appended to `metrics.jsonl` in the current folder, which
    `cwt exp record` reads. Numbers of numpy and torch (of one element) are taken as numbers. Of a distributed training only the
    first process writes (RANK 0), so that every process may call this. Points of several processes and threads never mix.
    Raises `TypeError` for what is no number and no text, `ValueError` without any metric, `WriteError`.
    """
    if not metrics:
        raise ValueError("no metrics to log")
    point: dict[str, object] = {}
    if step is not None:
        point["step"] = int(step)
    if epoch is not None:
        point["epoch"] = float(epoch)
    for name, value in metrics.items():
        point[str(name)] = _plain(name, value)
    if rank(os.environ) == 0:
        line = json.dumps(point, ensure_ascii=False, allow_nan=False)
        append(os.environ.get(_VARIABLE) or METRICS, line.encode() + b"\n")


def _plain(name: str, value: Number) -> bool | int | float | str:
    """As JSON has it; numbers that it does not have (nan, inf) are texts, as in records."""
    if isinstance(value, bool | int | str):
        return value
    # numpy's and torch's numbers of one element: `item` keeps whole numbers whole.
    item = getattr(value, "item", None)
    number = item() if callable(item) else value
    if not isinstance(number, bool | int | float):
        if not isinstance(number, SupportsFloat):
            raise TypeError(f"metric '{name}' is no number: {type(value).__name__}")
        number = float(number)
    return str(number) if isinstance(number, float) and not math.isfinite(number) else number


# Below, what is heavy is imported where it is used: a training that only logs pays for none of it.


def experiments(repo: str | os.PathLike[str] = ".") -> tuple[Experiment, ...]:
    """Every experiment of the repository around `repo`, the oldest first, and behind them those that only a commit's
    message tells of.

    `experiment.record` has everything: `id`, `name`, `status`, `parameters`, `metrics`, `data`, `environment`, `weights`. Records
    that cannot be read are left out with a warning. Raises `NotARepository`.
    """
    import warnings  # noqa: PLC0415 - see above

    from hundredweight.lineage.experiments import find  # noqa: PLC0415 - see above

    found = find(_workspace(repo).git)
    for error in found.damaged:
        warnings.warn(error.message, stacklevel=2)
    return found.experiments


def releases(repo: str | os.PathLike[str] = ".") -> tuple[Release, ...]:
    """Every release of the repository around `repo`, from its tags, the oldest first; `release.facts` is what is behind one.
    Raises `NotARepository`."""
    from hundredweight.lineage.releases import find_releases  # noqa: PLC0415 - see above

    return find_releases(_workspace(repo).git)


def open(path: str | os.PathLike[str], rev: str | None = None, *, repo: str | os.PathLike[str] = ".") -> BinaryIO:
    """A file as it is in `rev`, to read and to seek in; the caller closes it.

    `rev` is anything that git understands, a release (`digits@v1.2.0`, `digits@latest`, `digits#prod`) or an experiment;
    None is the
    work tree. `path` is relative to `repo`. Of an LFS file it is the content, from the clone's store, loose or packed;
    what is not
    there is downloaded. Raises `CannotOpen`, `CannotFetch`, `UsageError` for a `rev` that there is not.
    """
    from hundredweight.client.revision_files import open_in  # noqa: PLC0415 - see above

    return open_in(_workspace(repo), os.fspath(path), rev)


def load_tensors(
    path: str | os.PathLike[str], rev: str | None = None, *, repo: str | os.PathLike[str] = ".", widen: bool = True
) -> Tensors:
    """The tensors of a weight file (safetensors, GGUF, PyTorch, ONNX, numpy; of a sharded model its index), as a mapping
    of names to
    numpy arrays, each read when it is asked for; nothing is ever unpickled. A context, or `close` it.

    `path`, `rev` and `repo` as for `open`. Arrays of files that are loose in the store are mapped and read-only. BF16 and 8-bit
    floats, which numpy has not, become float32 of the same values; with `widen=False` they are uint16 and uint8. Types
    below 8 bits
    and quantised blocks are their bytes; `tensors.info(name)` tells type and shape. Raises as `open`, and `BadWeights`.
    """
    from hundredweight.client.revision_files import open_weights  # noqa: PLC0415 - see above
    from hundredweight.client.tensor_arrays import Tensors  # noqa: PLC0415 - see above

    return Tensors(open_weights(_workspace(repo), os.fspath(path), rev), widen=widen)


def _workspace(repo: str | os.PathLike[str]) -> Workspace:
    from hundredweight.client.workspace import open_workspace  # noqa: PLC0415 - see above
    from hundredweight.git.run import Git  # noqa: PLC0415 - see above

    return open_workspace(Git(os.fspath(repo)), os.environ)
