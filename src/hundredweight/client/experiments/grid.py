"""`--set key=value`: which runs a command line means, and how a value reaches the training."""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.lineage import parameters
from hundredweight.lineage.fields import RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hundredweight.lineage.fields import Value

VARIABLE = "CWT_PARAM_"
MAX_RUNS = 1000
ALIKE = 0.85
"""From which likeness on (0 to 1) a key that no file has is taken for one that was mistyped."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value for one parameter; `file` where the user named the file (`params.toml:lr=3e-5`)."""

    key: str
    value: object
    file: str = ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What settings come to: `files` are parameter files as they are to be, `loose` those settings that no file has, `known` the
    keys that files have."""

    files: dict[str, bytes]
    loose: tuple[Setting, ...]
    known: frozenset[str] = frozenset()


def parse_grid(texts: Sequence[str]) -> list[tuple[Setting, ...]]:
    """The runs that the options mean: every combination of their values, the last one varying fastest. Raises `UsageError`."""
    axes = [_axis(text) for text in texts]
    names = [(axis[0].file, axis[0].key) for axis in axes]
    twice = next((key for file, key in names if names.count((file, key)) > 1), None)
    if twice is not None:
        raise UsageError(f"'{twice}' is set twice", hint=f"write '--set {twice}=A,B' for one run each")
    total = 1
    for axis in axes:
        total *= len(axis)
    if total > MAX_RUNS:
        raise UsageError(f"these are {total} runs, more than {MAX_RUNS}", hint="set fewer values at once")
    return list(itertools.product(*axes))


def _axis(text: str) -> list[Setting]:
    name, equals, values = text.partition("=")
    file, colon, key = name.rpartition(":")
    key = key.strip()
    if not equals or not key or (colon and not file):
        raise UsageError(f"'{text}' is no setting", hint="write '--set lr=3e-5', or '--set params.toml:lr=3e-5,1e-4'")
    return [Setting(key, parameters.parse_value(value), file) for value in parameters.split_choices(values)]


def varied(runs: Sequence[Sequence[Setting]]) -> list[str]:
    """The parameters in which the runs differ."""
    first = runs[0] if runs else ()
    return [
        setting.key
        for place, setting in enumerate(first)
        if any(shown(run[place].value) != shown(setting.value) for run in runs)
    ]


def run_name(name: str, run: Sequence[Setting], keys: Sequence[str]) -> str:
    """What a run of a grid is called: `digits-lr=1e-5`; also the name of its branch."""
    parts = [f"{setting.key.rpartition('.')[2]}={shown(setting.value)}" for setting in run if setting.key in keys]
    return re.sub(r"[^\w./=+-]+", "-", "-".join((name, *parts))).strip("-.")


def shown(value: object) -> str:
    """A value as a command line has it."""
    if isinstance(value, float):
        return re.sub(r"e([-+])0+(\d)", r"e\1\2", repr(value)).replace("e+", "e")
    return value if isinstance(value, str) else parameters.yaml_text(value)


def assign(run: Iterable[Setting], names: Sequence[str], read: Callable[[str], bytes | None]) -> Assigned:
    """Put the settings into the parameter files that have them; `read` gives a file's content, None where there is none. Raises
    `UsageError`, `RecordInvalid`."""
    files: dict[str, bytes] = {}
    loose = []
    known: set[str] = set()
    for setting in run:
        candidates = [setting.file] if setting.file else list(names)
        holding = []
        for name in candidates:
            data = files.get(name) or read(name)
            keys = parameters.flatten(parameters.parse(name, data)) if data is not None else {}
            known.update(keys)
            if data is not None and setting.key in keys:
                holding.append((name, data))
        if len(holding) > 1:
            raise UsageError(
                f"'{setting.key}' is in '{holding[0][0]}' and in '{holding[1][0]}'",
                hint=f"write '--set {holding[0][0]}:{setting.key}=...'",
            )
        if setting.file and not holding:
            raise UsageError(f"'{setting.file}' has no '{setting.key}'", hint="add it to the file first")
        if not holding:
            loose.append(setting)
            continue
        name, data = holding[0]
        if isinstance(setting.value, dict):
            raise RecordInvalid(name, f"'{setting.key}' is a single value", hint="set its parts one by one")
        files[name] = parameters.assign(name, data, setting.key, setting.value)
    return Assigned(files, tuple(loose), frozenset(known))


def check_spelling(setting: Setting, known: Iterable[str]) -> None:
    """A setting that no file has may be for the command alone; one that is nearly a key is a mistake, and costs a
    training. Raises
    `UsageError`."""
    near = difflib.get_close_matches(setting.key, sorted(known), 1, ALIKE)
    if near:
        raise UsageError(
            f"no parameter file has '{setting.key}'",
            hint=f"did you mean '{near[0]}'? One that is for the command alone stands there as '{{{setting.key}}}'",
        )


def variables(run: Iterable[Setting]) -> dict[str, str]:
    """The settings as variables of the command: `CWT_PARAM_TRAIN_LR` for `train.lr`."""
    return {VARIABLE + re.sub(r"\W", "_", setting.key).upper(): shown(setting.value) for setting in run}


def fill(command: Sequence[str], run: Iterable[Setting]) -> tuple[list[str], set[str]]:
    """The command with `{key}` replaced for each setting, and which settings it names so; other braces stay."""
    filled = list(command)
    used = set()
    for setting in run:
        mark = "{" + setting.key + "}"
        if any(mark in word for word in filled):
            used.add(setting.key)
            filled = [word.replace(mark, shown(setting.value)) for word in filled]
    return filled, used


def as_values(run: Iterable[Setting]) -> dict[str, Value]:
    """The settings as parameters of a record."""
    return parameters.flatten({setting.key: setting.value for setting in run})
