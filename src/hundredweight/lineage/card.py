"""The model card: the front matter of README.md and `eval_results.yaml`, in Hugging Face's forms.

What people wrote stays as it is, comments and order too: only the lines of the keys that change are written anew, and keys that
only people can know are added where they are missing, never changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from hundredweight.lineage.fields import RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

RESULTS = "eval_results.yaml"
MAX_CARD = 4 << 20
_SPLITS = {"test": "test", "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
           "eval": "validation", "train": "train"}  # fmt: skip
_FENCE = re.compile(r"---[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a card says of a release. `metrics` are numbers by name; `dataset` is the data set's name, `revision` its version,
    `date` ISO 8601. `base` is the model that it was made from, or empty. `gone` are metrics of former releases that this
    one has not:
    what the card says of them was measured on other weights."""

    model: str
    metrics: Mapping[str, float]
    dataset: str = ""
    revision: str = ""
    date: str = ""
    base: str = ""
    gone: frozenset[str] = frozenset()

    def by_split(self) -> dict[str, dict[str, float]]:
        """Metrics by what they were measured on, as their names say: `test_acc` on `test`; else empty."""
        found: dict[str, dict[str, float]] = {}
        for name, value in self.metrics.items():
            found.setdefault(split_of(name), {})[name] = value
        return found


def split_of(metric: str) -> str:
    """`test` for `test_acc`, `validation` for `val_loss` and `eval/loss`; empty for what says nothing."""
    first = re.split(r"[_/.-]", metric, maxsplit=1)[0].lower()
    return _SPLITS.get(first, "") if first != metric.lower() else ""


def update_readme(before: bytes, told: Evaluation, where: str = "README.md") -> bytes:
    """The card with this release's results. An empty one gets a heading. Raises `RecordInvalid` where its front matter cannot be
    read: nothing that somebody wrote is dropped."""
    text = _decode(before, where)
    newline = "\r\n" if "\r\n" in text[:4096] else "\n"
    front, body = _parts(text)
    known = _mapping(front, where)
    if not text.strip():
        body = f"{newline}# {told.model or 'Model'}{newline}"
    for key, value in _wanted(known, told, where).items():
        if known.get(key) != value:
            front = _replace(front, key, value, newline)
    return f"---{newline}{front}---{newline}{body}".encode("utf-8", "surrogateescape")


def update_results(before: bytes, told: Evaluation, where: str = RESULTS) -> bytes:
    """The list of results with this release's; entries of others, and comments, stay as they are. Raises `RecordInvalid`."""
    text = _decode(before, where)
    newline = "\r\n" if "\r\n" in text[:4096] else "\n"
    entries = _load(text, where)
    if entries not in (None, []) and (not isinstance(entries, list) or text.lstrip().startswith("[")):
        raise RecordInvalid(
            where, "not a list with an entry a line", hint=f"write each result in '{where}' below a '- '"
        )
    new = {_key(entry): entry for entry in _results(told)}
    chunks = re.split(r"(?m)^(?=- |-\r?$)", text) if isinstance(entries, list) and entries else [text]
    if entries == []:
        chunks = [""]
    made = []
    for chunk in chunks:
        value = _load(chunk, where) if chunk.startswith("-") else None
        single = value[0] if isinstance(value, list) and len(value) == 1 else None
        if _is_gone(single, told):
            made.append(_tail(chunk, newline))
            continue
        mine = new.pop(_key(single), None)
        if mine is None or not isinstance(value, list):
            made.append(chunk)
            continue
        if (
            isinstance(value[0], dict)
            and value[0].get("value") == mine["value"]
            and _revision(value[0]) == _revision(mine)
        ):
            made.append(chunk)
            continue
        made.append(_dump([mine], newline) + _tail(chunk, newline))
    if made and made[-1] and not made[-1].endswith("\n"):
        made[-1] += newline
    return ("".join(made) + "".join(_dump([entry], newline) for entry in new.values())).encode(
        "utf-8", "surrogateescape"
    )


def front_matter(data: bytes, where: str = "README.md") -> dict[str, object]:
    """What a card's front matter says. Raises `RecordInvalid`."""
    return _mapping(_parts(_decode(data, where))[0], where)


def _decode(data: bytes, where: str) -> str:
    if len(data) > MAX_CARD:
        raise RecordInvalid(where, f"more than {MAX_CARD} bytes")
    return data.decode("utf-8", "surrogateescape")


def _parts(text: str) -> tuple[str, str]:
    """The front matter without its fences, and what is behind it."""
    opening = _FENCE.match(text.removeprefix("\ufeff"))
    if opening is None:
        return "", text if not text.strip() else "\n" + text.removeprefix("\ufeff")
    rest = text.removeprefix("\ufeff")[opening.end() :]
    closing = re.search(r"(?m)^---[ \t]*\r?(?:\n|\Z)", rest)
    if closing is None:
        return "", "\n" + text
    return rest[: closing.start()], rest[closing.end() :]


def _load(text: str, where: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = (str(error).strip().splitlines() or ["not YAML"])[0]
        raise RecordInvalid(where, f"its YAML cannot be read: {first}", hint=f"correct '{where}'") from error


def _mapping(front: str, where: str) -> dict[str, object]:
    known = _load(front, where)
    if known is None:
        return {}
    if not isinstance(known, dict) or front.lstrip().startswith("{"):
        raise RecordInvalid(where, "its front matter is no list of 'key: value' lines", hint=f"correct '{where}'")
    return known


def _wanted(known: Mapping[str, object], told: Evaluation, where: str) -> dict[str, object]:
    """The keys that the card should have, with their values."""
    wanted: dict[str, object] = {}
    if told.base and "base_model" not in known:
        wanted["base_model"] = told.base
    if told.dataset and "datasets" not in known:
        wanted["datasets"] = [told.dataset]
    listed = known.get("metrics")
    names = [listed] if isinstance(listed, str) else list(listed) if isinstance(listed, list) else []
    missing = [name for name in told.metrics if name not in names]
    if missing and (listed is None or isinstance(listed, str | list)):
        wanted["metrics"] = names + missing
    if told.metrics or (told.gone and "model-index" in known):
        wanted["model-index"] = _model_index(known, told, where)
    return wanted


def _model_index(known: Mapping[str, object], told: Evaluation, where: str) -> list[object]:
    index = known.get("model-index")
    if index is not None and not isinstance(index, list):
        raise RecordInvalid(where, "'model-index' is not a list", hint=f"correct '{where}'")
    entries: list[object] = list(index or [])
    own = next((e for e in entries if isinstance(e, dict) and e.get("name") == told.model), None)
    listed = own.get("results") if own is not None else None
    results = [kept for result in listed or [] if (kept := _without(result, told.gone)) is not None]
    task = known.get("pipeline_tag")
    for split, metrics in told.by_split().items():
        made = _result(told, split, metrics, task if isinstance(task, str) else "other")
        place = next((n for n, each in enumerate(results) if _measured_on(each) == _measured_on(made)), -1)
        if place < 0:
            results.append(made)
        else:
            results[place] = _merged(results[place], made)
    if own is None:
        return [*entries, {"name": told.model, "results": results}] if results else entries
    renewed = [{**own, "results": results}] if results else []
    return [each for entry in entries for each in (renewed if entry is own else [entry])]


def _result(told: Evaluation, split: str, metrics: Mapping[str, float], task: str) -> dict[str, object]:
    name = told.dataset or told.model
    dataset = {"type": name, "name": name, "split": split, "revision": told.revision}
    return {
        "task": {"type": task},
        "dataset": {key: value for key, value in dataset.items() if value},
        "metrics": [{"type": metric, "value": value, "name": metric} for metric, value in metrics.items()],
    }


def _without(result: object, gone: frozenset[str]) -> object | None:
    """A result without metrics that are gone; None where it had no others."""
    listed = result.get("metrics") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(listed, list):
        return result
    kept = [item for item in listed if not (isinstance(item, dict) and item.get("type") in gone)]
    return result if kept == listed else {**result, "metrics": kept} if kept else None


def _measured_on(result: object) -> object:
    dataset = result.get("dataset") if isinstance(result, dict) else None
    return (dataset.get("type"), dataset.get("split")) if isinstance(dataset, dict) else None


def _merged(old: object, new: dict[str, object]) -> object:
    """A former result of the same data with this release's values: what people added to it stays. A value that changed is
    verified no more."""
    assert isinstance(old, dict)
    listed = old.get("metrics")
    metrics = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    known = {item.get("type"): item for item in metrics}
    made = new["metrics"]
    assert isinstance(made, list)
    for item in made:
        before = known.get(item["type"])
        if before is None:
            known[item["type"]] = item
        elif before.get("value") != item["value"]:
            kept = {key: value for key, value in before.items() if key not in ("verified", "verifyToken")}
            known[item["type"]] = {**kept, "value": item["value"]}
    former, revised = old["dataset"], new["dataset"]
    assert isinstance(revised, dict)
    revision = {"revision": revised["revision"]} if "revision" in revised else {}
    return {**old, "dataset": {**former, **revision}, "metrics": list(known.values())}


def _replace(front: str, key: str, value: object, newline: str) -> str:
    """The front matter with one key's lines written anew, or added at its end."""
    new = _dump({key: value}, newline)
    if front and not front.endswith("\n"):
        front += newline
    node = yaml.compose(front, Loader=yaml.SafeLoader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    starts = [name.start_mark.index for name, _ in pairs]
    place = next((n for n, (name, _) in enumerate(pairs) if name.value == key), -1)
    if place < 0:
        return front + new
    start = starts[place]
    end = starts[place + 1] if place + 1 < len(starts) else len(front)
    return front[:start] + new + _tail(front[start:end], newline) + front[end:]


def _tail(chunk: str, newline: str) -> str:
    """Comments and empty lines behind a value: they belong to what follows."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", chunk)
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    tail = "".join(lines[end:])
    return tail if not tail or tail.endswith("\n") else tail + newline


def _results(told: Evaluation) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for split, metrics in told.by_split().items():
        for metric, value in metrics.items():
            dataset = {"id": told.dataset or told.model, "config": metric, "split": split, "revision": told.revision}
            entry: dict[str, object] = {
                "dataset": {name: text for name, text in dataset.items() if text},
                "value": value,
            }
            made.append(entry | ({"date": told.date} if told.date else {}))
    return made


def _is_gone(entry: object, told: Evaluation) -> bool:
    """Whether an entry of ours is about a metric that is gone."""
    key = _key(entry)
    return bool(key) and key[0] == (told.dataset or told.model) and key[1] in told.gone


def _key(entry: object) -> tuple[object, ...]:
    dataset = entry.get("dataset") if isinstance(entry, dict) else None
    if not isinstance(dataset, dict):
        return ()
    return str(dataset.get("id")), str(dataset.get("config")), str(dataset.get("split", ""))


def _revision(entry: Mapping[str, object]) -> str:
    dataset = entry.get("dataset")
    return str(dataset.get("revision", "")) if isinstance(dataset, dict) else ""


def _dump(value: object, newline: str) -> str:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100)
    return text.replace("\n", newline)
