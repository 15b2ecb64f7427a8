"""Parameter files (TOML, YAML, JSON): read as flat names (`train.lr`), and one value changed in place, comments and order kept.

What was written is read again and compared: a change that would touch anything else is refused.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

from hundredweight.lineage.fields import MAX_TEXT, RecordInvalid, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import yaml

MAX_FILE = 16 << 20
_FLOAT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+")
_TABLE = re.compile(r"\[(?P<name>[^\[\]]+)\]\s*(?:#.*)?")
_TOML_KEY = re.compile(r"\s*(?P<key>(?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=\s*")
_KEY_PART = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")


class CannotSet(RecordInvalid):
    """A parameter file cannot be changed in place: it has the parameter in a form that a single value does not fit."""

    hint = "change the file by hand"


def parse(name: str, data: bytes) -> dict[str, object]:
    """The document of a parameter file, by its name's end. Raises `RecordInvalid`."""
    if len(data) > MAX_FILE:
        raise RecordInvalid(name, f"more than {MAX_FILE} bytes")
    kind = _kind(name)
    try:
        text = data.decode("utf-8-sig")
        document = _READERS[kind](text)
    except (ValueError, RecursionError) as error:
        first = str(error).strip().splitlines()
        raise RecordInvalid(name, f"not {kind.upper()}: {first[0] if first else error}") from error
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise RecordInvalid(name, "not a table of parameters")
    return {str(key): value for key, value in document.items()}


def flatten(document: object, prefix: str = "") -> dict[str, Value]:
    """Every value by its dotted name; a list of plain values is one value, its JSON text."""
    found: dict[str, Value] = {}
    pairs: Iterator[tuple[object, object]] | enumerate[object]
    if isinstance(document, dict):
        pairs = iter(document.items())
    elif isinstance(document, list) and any(isinstance(item, dict | list) for item in document):
        pairs = enumerate(document)
    else:
        return {prefix: _plain(document)} if prefix else {}
    for key, item in pairs:
        found |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def read(name: str, data: bytes) -> dict[str, Value]:
    """The parameters in a file, by dotted name. Raises `RecordInvalid`."""
    return flatten(parse(name, data))


def parse_value(text: str) -> object:
    """A value as a user types it: number, true, false, null, a list or table in JSON or YAML's flow form, a text."""
    text = text.strip()
    if _FLOAT.fullmatch(text):
        return float(text)
    try:
        found = load_yaml(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(found, bool) and text.lower() not in ("true", "false"):
        return text  # yes, no, on and off are texts
    return found if isinstance(found, bool | int | float | str | list | dict) or text in ("null", "~") else text


def load_yaml(text: str) -> object:
    """The document of a YAML text. Raises `ValueError`."""
    import yaml  # noqa: PLC0415 - 10 ms, which trainings without YAML do not pay

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


_READERS: dict[str, Callable[[str], object]] = {"toml": tomllib.loads, "json": json.loads, "yaml": load_yaml}


def split_choices(text: str) -> list[str]:
    """`1e-5,3e-5` is two values; commas inside quotes and brackets separate nothing."""
    parts, depth, quote = [""], 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
        if char == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def assign(name: str, data: bytes, key: str, value: object) -> bytes:
    """The file with one parameter changed; the file has it already. Raises `CannotSet`, `RecordInvalid`."""
    before = parse(name, data)
    wanted = flatten(before) | {key: _plain(value)}
    text = data.decode("utf-8-sig")
    if flatten(before).get(key, before) == _plain(value):
        return data
    changed = _assign_toml(name, text, key, value) if _kind(name) == "toml" else _assign_yaml(name, text, key, value)
    try:
        after = read(name, changed.encode())
    except RecordInvalid:
        after = {}
    if not _same(after, wanted):
        if _kind(name) == "json":
            return _assign_json(before, key, value)
        raise CannotSet(name, f"'{key}' cannot be set to {json.dumps(value)} in place")
    return changed.encode()


def _kind(name: str) -> str:
    end = name.rpartition(".")[2].lower()
    return "yaml" if end in ("yml", "yaml") else end if end in ("json", "toml") else "yaml"


def _plain(value: object) -> Value:
    if isinstance(value, str) and _FLOAT.fullmatch(value.strip()):
        return float(value)  # what YAML 1.1 takes for a text: 1e-5
    if isinstance(value, bool | int | float | str | None):
        return value[:MAX_TEXT] if isinstance(value, str) else value
    return json.dumps(value, default=str)[:MAX_TEXT] if isinstance(value, list | dict | tuple) else str(value)


def _same(left: dict[str, Value], right: dict[str, Value]) -> bool:
    return left.keys() == right.keys() and all(
        left[key] == right[key] or (left[key] != left[key] and right[key] != right[key]) for key in left
    )


def _assign_yaml(name: str, text: str, key: str, value: object) -> str:
    import yaml  # noqa: PLC0415 - see `load_yaml`

    try:
        node = _find(yaml.compose(text, Loader=yaml.SafeLoader), key)
    except yaml.YAMLError as error:
        if _kind(name) == "json":
            return ""
        raise RecordInvalid(name, "not YAML") from error
    if node is None:
        raise CannotSet(name, f"'{key}' is not in it as a value of its own")
    start, end = node.start_mark.index, node.end_mark.index
    old = text[start:end]
    written = json.dumps(value) if _kind(name) == "json" else yaml_text(value)
    space = " " if not old and text[start - 1 : start] == ":" else ""
    return text[:start] + space + written + old[len(old.rstrip()) :] + text[end:]


def _find(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The node of a dotted name, whose parts may hold dots themselves."""
    import yaml  # noqa: PLC0415 - see `load_yaml`

    if isinstance(node, yaml.MappingNode):
        pairs = [(str(inner.value), value) for inner, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(str(place), value) for place, value in enumerate(node.value)]
    else:
        return None
    for name, value in pairs:
        if name == key:
            return cast("yaml.Node", value)
        found = _find(value, key[len(name) + 1 :]) if key.startswith(name + ".") else None
        if found is not None:
            return found
    return None


def yaml_text(value: object) -> str:
    """A value in YAML's flow form, which YAML 1.1 and 1.2 read alike."""
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        text = repr(value)
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if isinstance(value, list):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_/][\w./-]*", value) is not None
    if isinstance(value, str) and plain and load_yaml(value) == value:
        return value
    return json.dumps(value)


def _assign_json(document: dict[str, object], key: str, value: object) -> bytes:
    """Where the text does not allow it in place: written anew."""
    target: Any = document
    rest = key
    while isinstance(target, dict | list):
        names = list(target) if isinstance(target, dict) else [str(place) for place in range(len(target))]
        step = next((name for name in names if rest == name or rest.startswith(f"{name}.")), None)
        if step is None:
            break
        index: Any = int(step) if isinstance(target, list) else step
        if rest == step:
            target[index] = value
            break
        target, rest = target[index], rest[len(step) + 1 :]
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _assign_toml(name: str, text: str, key: str, value: object) -> str:
    lines = text.splitlines(keepends=True)
    table = ""
    for number, line in enumerate(lines):
        if line.lstrip().startswith("["):
            match = _TABLE.fullmatch(line.strip())
            table = _joined(match["name"]) if match else "\0"
            continue
        match = _TOML_KEY.match(line)
        if match is None or f"{table}.{_joined(match['key'])}".lstrip(".") != key:
            continue
        rest = "".join(lines[number:])[match.end() :]
        length = _toml_value(rest)
        if length:
            return "".join(lines[:number]) + line[: match.end()] + _toml_text(name, key, value) + rest[length:]
    raise CannotSet(name, f"'{key}' is not in it as a value of its own")


def _joined(key: str) -> str:
    return ".".join(part.strip("\"'") for part in _KEY_PART.findall(key))


def _toml_value(text: str) -> int:
    """How many characters of `text` are the value that it begins with; 0 where there is none."""
    whole = 0
    for end in (match.end() for match in re.finditer(r"\n|$", text)):
        if _toml_reads(text[:end]) is not None:
            whole = end
            break
    found = _toml_reads(text[:whole])
    for place in (match.start() for match in re.finditer("#", text[:whole])):
        if _toml_reads(text[:place]) == found:
            return len(text[:place].rstrip())
    return len(text[:whole].rstrip())


def _toml_reads(text: str) -> Sequence[object] | None:
    try:
        return [tomllib.loads(f"x = {text}")["x"]]
    except tomllib.TOMLDecodeError:
        return None


def _toml_text(name: str, key: str, value: object) -> str:
    if value is None:
        raise CannotSet(name, f"'{key}' cannot be null, which TOML does not have")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml_text(name, key, item) for item in value) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(str(k))} = {_toml_text(name, key, item)}" for k, item in value.items())
        return "{ " + inner + " }"
    return json.dumps(value, ensure_ascii=False)
