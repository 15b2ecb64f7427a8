"""MLflow: runs of a tracking server or of a folder `mlruns`, and experiments published to a server. Plain REST, no
mlflow needed."""

from __future__ import annotations

import base64
import json
import math
import os
from typing import TYPE_CHECKING, Any

import urllib3
import yaml

from hundredweight.base.errors import RemoteError, UsageError
from hundredweight.client.experiments.curves import read_curves
from hundredweight.client.experiments.table import text_of
from hundredweight.client.trackers.runs import Run
from hundredweight.lineage import message
from hundredweight.lineage.record import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.fields import Value

KIND = "mlflow"
TAG = "hundredweight.experiment"
"""A run's tag that names the experiment it was published from."""
PAGE = 200
_BATCH, _PARAMETERS, _TEXT = 900, 90, 5000
"""Most metrics and parameters of one request, and characters of a parameter or tag, below MLflow's own limits."""
_STATUS = {
    "FINISHED": Status.DONE, "FAILED": Status.FAILED, "KILLED": Status.KILLED,
    "RUNNING": Status.RUNNING, "SCHEDULED": Status.RUNNING,
}  # fmt: skip
_NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_SAYS = {Status.DONE: "FINISHED", Status.FAILED: "FAILED", Status.KILLED: "KILLED", Status.RUNNING: "RUNNING"}


class TrackerFailed(RemoteError):
    """The tracking server cannot be reached, or refused a request. `status` is the answer's, 0 for none."""

    hint = "check the URI, and MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"

    def __init__(self, url: str, reason: str, status: int = 0) -> None:
        super().__init__(f"'{url}': {reason}")
        self.status = status


class NoRuns(UsageError):
    """A folder that was named holds no runs."""


class Server:
    """A tracking server. `variables` hold who we are, as for MLflow's own client. Use as a context."""

    def __init__(self, url: str, variables: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **_access(variables)}
        retries = urllib3.Retry(
            3, backoff_factor=0.2, allowed_methods=None, status_forcelist=(429, 502, 503), raise_on_status=False
        )
        insecure = variables.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true")
        bundle = variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(10, read=60),
            retries=retries,
            cert_reqs="CERT_NONE" if insecure else None,
            ca_certs=bundle,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pool.clear()

    def call(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """One request; gives the answer's fields. Raises `TrackerFailed`."""
        url = f"{self.url}/api/2.0/mlflow/{path}"
        try:
            if method == "GET":
                answer = self._pool.request(method, url, fields=fields, headers=self._headers)
            else:
                answer = self._pool.request(method, url, body=json.dumps(fields).encode(), headers=self._headers)
        except urllib3.exceptions.HTTPError as error:
            raise TrackerFailed(self.url, str(getattr(error, "reason", None) or error)) from error
        try:
            told = json.loads(answer.data or b"{}")
        except ValueError:
            told = {}
        if answer.status >= 300 or not isinstance(told, dict):
            said = told.get("message", "") if isinstance(told, dict) else ""
            raise TrackerFailed(self.url, f"{path}: {said or f'status {answer.status}'}", answer.status)
        return told

    def pages(self, path: str, key: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """The items of a search, page after page."""
        token = ""
        while True:
            more = {"page_token": token} if token else {}
            told = self.call("POST", path, max_results=PAGE, **fields, **more)
            yield from told.get(key, [])
            token = told.get("next_page_token", "")
            if not token:
                return

    def experiment_ids(self, name: str = "") -> list[str]:
        """Of all experiments, or of that name. Raises `NoRuns` where there is none of it."""
        if not name:
            return [item["experiment_id"] for item in self.pages("experiments/search", "experiments")]
        try:
            return [self.call("GET", "experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"]]
        except TrackerFailed as error:
            if error.status == 404:
                raise NoRuns(
                    f"'{self.url}' has no experiment '{name}'", hint="leave --experiment out to take all"
                ) from error
            raise


def read_server(server: Server, experiment: str = "") -> Iterator[Run]:
    """The runs of all experiments, or of one by name, that are not deleted. Raises `TrackerFailed`, `NoRuns`."""
    ids = server.experiment_ids(experiment)
    for start in range(0, len(ids), 50):
        for item in server.pages(
            "runs/search", "runs", experiment_ids=ids[start : start + 50], order_by=["start_time ASC"]
        ):
            yield _of_server(server, item)


def _of_server(server: Server, item: dict[str, Any]) -> Run:
    info, data = item["info"], item.get("data", {})
    run = Run(KIND, info["run_id"], info.get("run_name", ""))
    run.status = _STATUS.get(info.get("status", ""), Status.DONE)
    run.started, run.ended = (float(info.get(key) or 0) / 1000 for key in ("start_time", "end_time"))
    run.url = f"{server.url}/#/experiments/{info['experiment_id']}/runs/{run.id}"
    run.parameters = {pair["key"]: message.value(pair.get("value", "")) for pair in data.get("params", [])}
    run.metrics = {pair["key"]: _number(pair.get("value")) for pair in data.get("metrics", [])}
    _take_tags(run, {pair["key"]: pair.get("value", "") for pair in data.get("tags", [])})
    histories = {name: list(_history(server, run.id, name)) for name in run.metrics}
    run.points = _points(histories)
    return run


def _history(server: Server, run: str, name: str) -> Iterator[tuple[int, Value]]:
    token = ""
    while True:
        more = {"page_token": token} if token else {}
        told = server.call("GET", "metrics/get-history", run_id=run, metric_key=name, max_results=5000, **more)
        for each in told.get("metrics", []):
            yield int(each.get("step", 0)), _number(each.get("value"))
        token = told.get("next_page_token", "")
        if not token:
            return


def _points(histories: Mapping[str, Sequence[tuple[int, Value]]]) -> list[dict[str, Value]]:
    """A row a step. Metrics with a single value are no curve."""
    rows: dict[int, dict[str, Value]] = {}
    for name, history in histories.items():
        if len(history) > 1:
            for step, value in history:
                rows.setdefault(step, {"step": step})[name] = value
    return [rows[step] for step in sorted(rows)]


def _number(item: object) -> Value:
    try:
        value = float(item)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else str(value)


def _take_tags(run: Run, tags: Mapping[str, str]) -> None:
    run.name = run.name or tags.get("mlflow.runName", "")
    run.published = tags.get(TAG, "")
    run.commit = tags.get("mlflow.source.git.commit", "")
    source = tags.get("mlflow.source.name", "")
    run.command = ("python", source) if source.endswith(".py") else ()


def read_folder(folder: str) -> Iterator[Run]:
    """The runs of a folder `mlruns`: EXPERIMENT/RUN/meta.yaml with params, metrics and tags in files. Raises `NoRuns`."""
    found = False
    for experiment in sorted(_folders(folder)):
        for name in sorted(_folders(os.path.join(folder, experiment))):
            place = os.path.join(folder, experiment, name)
            meta = _read(os.path.join(place, "meta.yaml"))
            if meta is None:
                continue
            run = _of_folder(place, meta)
            if run is not None:
                found = True
                yield run
    if not found:
        raise NoRuns(
            f"there are no runs in '{folder}'", hint="name the folder 'mlruns' itself, or the URI of a tracking server"
        )


def _of_folder(place: str, meta: str) -> Run | None:
    try:
        info = yaml.safe_load(meta)
    except yaml.YAMLError:
        return None
    if not isinstance(info, dict) or "run_id" not in info or info.get("lifecycle_stage") == "deleted":
        return None
    run = Run(KIND, str(info["run_id"]), str(info.get("run_name") or ""))
    status = info.get("status")
    run.status = _STATUS.get(_NUMBERS.get(status, "") if isinstance(status, int) else str(status), Status.DONE)
    run.started, run.ended = (float(info.get(key) or 0) / 1000 for key in ("start_time", "end_time"))
    run.parameters = {name: message.value(text) for name, text in _files(os.path.join(place, "params"))}
    histories: dict[str, list[tuple[int, Value]]] = {}
    for name, text in _files(os.path.join(place, "metrics")):
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 2:
                histories.setdefault(name, []).append((int(words[2]) if len(words) > 2 else 0, _number(words[1])))
    run.metrics = {name: max(history, key=lambda pair: pair[0])[1] for name, history in histories.items()}
    run.points = _points(histories)
    _take_tags(run, dict(_files(os.path.join(place, "tags"))))
    return run


def _files(folder: str) -> Iterator[tuple[str, str]]:
    """Files below a folder, by their path in it: names of metrics may have slashes."""
    for top, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(top, name)
            text = _read(path)
            if text is not None:
                yield os.path.relpath(path, folder).replace(os.sep, "/"), text


def _folders(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError as error:
        raise NoRuns(
            f"cannot read '{folder}': {error.strerror or error}", hint="name a folder 'mlruns' or a URI"
        ) from error


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def publish(server: Server, git: Git, found: Experiment, experiment_id: str) -> tuple[str, bool]:
    """The experiment as a run of the server, with parameters, metrics, curves and what is behind it as tags; gives the run's id,
    and whether it is new: one that was published before, or that the training itself wrote there, is only tagged. Raises
    `TrackerFailed`."""
    made = found.record
    known = _known_run(server, found, experiment_id)
    if known:
        server.call("POST", "runs/log-batch", run_id=known, tags=_pairs({TAG: made.id}))
        return known, False
    started = _milliseconds(made.started)
    created = server.call(
        "POST", "runs/create", experiment_id=experiment_id, run_name=made.name or made.id, start_time=started,
        tags=_pairs({TAG: made.id, "mlflow.runName": made.name or made.id}),
    )  # fmt: skip
    run: str = created["run"]["info"]["run_id"]
    parameters = _pairs({key: text_of(value) for key, value in made.parameters.items()})
    for start in range(0, len(parameters), _PARAMETERS):
        server.call("POST", "runs/log-batch", run_id=run, params=parameters[start : start + _PARAMETERS])
    metrics = list(_metrics(git, found, started))
    for start in range(0, len(metrics), _BATCH):
        server.call("POST", "runs/log-batch", run_id=run, metrics=metrics[start : start + _BATCH])
    server.call("POST", "runs/log-batch", run_id=run, tags=_pairs(_tags(found)))
    ended = started + round(made.seconds * 1000)
    server.call("POST", "runs/update", run_id=run, status=_SAYS[made.status], end_time=ended)
    return run, True


def target(server: Server, name: str) -> str:
    """The id of the server's experiment of that name, made where it is not there. Raises `TrackerFailed`."""
    try:
        return server.experiment_ids(name)[0]
    except NoRuns:
        made: str = server.call("POST", "experiments/create", name=name)["experiment_id"]
        return made


def _known_run(server: Server, found: Experiment, experiment_id: str) -> str:
    wanted = f"tags.`{TAG}` = '{found.record.id}'"
    told = server.call("POST", "runs/search", experiment_ids=[experiment_id], filter=wanted, max_results=1)
    for item in told.get("runs", []):
        return str(item["info"]["run_id"])
    for tracker in found.record.trackers:
        if tracker.kind == KIND:
            try:
                return str(server.call("GET", "runs/get", run_id=tracker.run)["run"]["info"]["run_id"])
            except TrackerFailed as error:
                if error.status != 404:
                    raise
    return ""


def _metrics(git: Git, found: Experiment, started: int) -> Iterator[dict[str, object]]:
    """Curves point by point, then the final values of what has no curve."""
    curves = read_curves(git, found)
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=True):
            yield {"key": curve.name, "value": value, "timestamp": started, "step": int(step)}
    drawn = {curve.name: curve.values[-1] for curve in curves}
    last = max((int(step) for curve in curves for step in curve.steps), default=0)
    for name, item in found.record.metrics.items():
        number = isinstance(item, int | float) and not isinstance(item, bool)
        if number and drawn.get(name) != item:
            yield {"key": name, "value": item, "timestamp": started, "step": last}


def _tags(found: Experiment) -> dict[str, str]:
    made = found.record
    tags = {
        "mlflow.source.git.commit": found.commit,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": " ".join(made.command),
        "mlflow.note.content": message.write(made),
        "hundredweight.code": made.code.commit,
        "hundredweight.hardware": str(made.hardware),
        "hundredweight.environment": made.environment.digest,
        "hundredweight.data": ", ".join(f"{each.path}@{each.version or each.digest[:16]}" for each in made.data),
        "hundredweight.weights": ", ".join(f"{each.path}:{each.weights_id or each.oid}" for each in made.weights),
    }
    return {key: text for key, text in tags.items() if text}


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": text[:_TEXT]} for key, text in values.items()]


def _milliseconds(started: str) -> int:
    from datetime import datetime  # noqa: PLC0415 - 4 ms, where something is published

    try:
        return round(datetime.fromisoformat(started).timestamp() * 1000)
    except ValueError:
        return 0


def _access(variables: Mapping[str, str]) -> dict[str, str]:
    """Who we are, from the variables that MLflow's client reads."""
    token = variables.get("MLFLOW_TRACKING_TOKEN", "")
    user, password = (variables.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if user:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {"Authorization": f"Bearer {token}"} if token else {}
