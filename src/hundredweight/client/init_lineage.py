"""What `cwt init` sets up for the life cycle: `hundredweight.toml`, guessed from what is there, and experiments on fetch."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from hundredweight.formats.names import is_weight_file, lfs_pattern
from hundredweight.git import refs
from hundredweight.lineage.experiments import REFS, refspec
from hundredweight.lineage.settings import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.workspace import Workspace

_DATA = ("data", "dataset", "datasets")
_PARAMETERS = tuple(
    f"{stem}.{end}" for stem in ("params", "hparams", "config") for end in ("toml", "yaml", "yml", "json")
)
_METRICS = ("metrics.json", "metrics.jsonl", "metrics.csv", "dvclive")
_ENVIRONMENTS = (
    "uv.lock", "poetry.lock", "pylock.toml", "Pipfile.lock", "requirements.txt", "environment.yml", "environment.yaml",
    "pyproject.toml",
)  # fmt: skip
_FEW = 3


def settings_text(workspace: Workspace) -> str:
    """A `hundredweight.toml` for this repository: what is there is named, the rest stands as comments."""
    top = workspace.repository.work_tree
    there = {name for name in os.listdir(top) if name != ".git"}
    data = [name for name in _DATA if name in there and not os.path.exists(os.path.join(top, name, "__init__.py"))]
    parameters = [name for name in _PARAMETERS if name in there]
    environment = next((name for name in _ENVIRONMENTS if name in there), "")
    lines = (
        "# What this repository is, for cwt (docs/experiments.md). Paths are from here; patterns as in .gitignore.",
        "",
        "[model]",
        f"name = {_text(model_name(workspace))}",
        _line("weights", _weights(workspace), '["model.safetensors"]', "by default every weight file but checkpoints"),
        '# recommended = "NAME@v1.0.0"    # the release that a checkout should be',
        "",
        "[data]",
        _line("paths", data, '["data"]'),
        '# version = "v1.0"    # the team\'s name for the data as they are; else their contents tell',
        "",
        "[experiment]",
        _line("parameters", parameters, '["params.toml"]', "what --set changes"),
        _line(
            "metrics", [name for name in _METRICS if name in there], '["metrics.json"]', "by default the usual names"
        ),
        f"environment = {_text(environment)}" if environment else '# environment = "requirements.txt"',
        "# command = \"python train.py\"    # what 'cwt exp run' runs when it is given no command",
        "",
        "[release]",
        '# card = "README.md"',
        "# minimum = { accuracy = 0.8 }    # a release with less is refused",
    )
    return "\n".join(lines) + "\n"


def model_name(workspace: Workspace) -> str:
    """A name for the model, by the folder; one that tags can have."""
    folder = os.path.basename(workspace.repository.work_tree)
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder).strip("-") or "model"


def missing_refspecs(workspace: Workspace) -> list[tuple[str, str]]:
    """(remote, refspec) of the remotes from which a fetch does not bring experiments yet. One that fetches nothing by
    itself is left
    alone, and so is a mirror, which brings everything."""
    config = workspace.git_config
    found = []
    for remote in refs.remotes(config):
        listed = config.all(f"remote.{remote}.fetch")
        sources = [spec.lstrip("+").partition(":")[0] for spec in listed]
        if listed and not any(source in (f"{REFS}*", "refs/*") for source in sources):
            found.append((remote, refspec(remote)))
    return found


def has_settings(workspace: Workspace) -> bool:
    return os.path.lexists(os.path.join(workspace.repository.work_tree, FILE))


def _weights(workspace: Workspace) -> list[str]:
    """Weight files that git knows or might: some by name, many by pattern."""
    listed = workspace.git.fields("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    found = [path for path in listed if is_weight_file(path) and path.partition("/")[0] not in _DATA]
    return found if len(found) <= _FEW else list(dict.fromkeys(map(lfs_pattern, found)))


def _line(key: str, values: Iterable[str], example: str, comment: str = "") -> str:
    values = list(values)
    line = f"{key} = [{', '.join(map(_text, values))}]" if values else f"# {key} = {example}"
    return f"{line}    # {comment}" if comment else line


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
