"""`hundredweight.toml` at the top of a repository: which files are the model, the data, the parameters and the metrics."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field

from hundredweight.lineage.fields import Fields, RecordInvalid

FILE = "hundredweight.toml"


@dataclass(frozen=True, slots=True)
class LineageSettings:
    """What the file says; everything has a default, so a repository without the file has settings too.

    `weights`, `data`, `parameters`, `metrics` are paths or patterns from the top; `command` is the training, as a shell has its
    words. `minimum` holds the least value of metrics
    that a release may have, `maximum` the largest.
    """

    model: str = ""
    weights: tuple[str, ...] = ()
    recommended: str = ""
    data: tuple[str, ...] = ()
    data_version: str = ""
    parameters: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    environment: str = ""
    command: str = ""
    card: str = "README.md"
    minimum: dict[str, float] = field(default_factory=dict)
    maximum: dict[str, float] = field(default_factory=dict)


def parse(data: bytes, where: str = FILE) -> LineageSettings:
    """The settings in the file's bytes. Raises `RecordInvalid`."""
    try:
        fields = Fields(tomllib.loads(data.decode()), where)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecordInvalid(where, f"not TOML: {error}", hint=f"correct '{FILE}'") from error
    model, inputs, runs, release = (fields.part(key) for key in ("model", "data", "experiment", "release"))
    return LineageSettings(
        model=model.text("name"),
        weights=model.texts("weights"),
        recommended=model.text("recommended"),
        data=inputs.texts("paths"),
        data_version=inputs.text("version"),
        parameters=runs.texts("parameters"),
        metrics=runs.texts("metrics"),
        environment=runs.text("environment"),
        command=runs.text("command"),
        card=release.text("card", "README.md"),
        minimum=_bounds(release, "minimum"),
        maximum=_bounds(release, "maximum"),
    )


def _bounds(fields: Fields, key: str) -> dict[str, float]:
    part = fields.part(key)
    return {name: part.number(name) for name in part.table}
