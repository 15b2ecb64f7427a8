"""Settings: command line over environment over defaults, each checked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from hundredweight.cli.cwt.hub_serve import parser
from hundredweight.hub.settings import BadSetting, Settings, load

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_defaults() -> None:
    settings = load({}, data="d")
    assert (settings.host, settings.port, settings.max_blob) == ("127.0.0.1", 8417, 10 << 20)
    assert not settings.anonymous_read


def test_the_command_line_wins_over_the_environment() -> None:
    variables = {"CWT_HUB_DATA": "e", "CWT_HUB_PORT": "99", "CWT_HUB_MAX_BLOB": "1G", "CWT_HUB_ANONYMOUS_READ": "yes"}
    settings = load(variables, data=None, port="5", host=None)
    assert (settings.data, settings.port, settings.max_blob, settings.anonymous_read) == ("e", 5, 1 << 30, True)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10M", 10 << 20), ("10MiB", 10 << 20), ("10MB", 10_000_000), ("5", 5), ("1.5k", 1536), ("0", 0), ("2g", 2 << 30)],
)
def test_sizes(text: str, size: int) -> None:
    assert load({}, data="d", max_blob=text).max_blob == size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", ""),
        ("port", "x"),
        ("port", "65536"),
        ("port", "-1"),
        ("port", "²"),
        ("max_blob", "ten"),
        ("max_blob", "10Q"),
        ("max_batch", "0"),
        ("idle_seconds", "0"),
        ("action_seconds", "1"),
        ("anonymous_read", "perhaps"),
        ("log_format", "xml"),
        ("public_url", "hub.example"),
        ("public_url", "ftp://hub.example"),
        ("public_url", "https://hub.example/?x"),
        ("public_url", "https:// hub"),
    ],
)
def test_an_impossible_value_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"invalid setting '{name}'") as caught:
        load({}, **{"data": "d", name: value})
    assert caught.value.name == name


def test_a_hub_without_folder_is_told_how_to_name_one() -> None:
    with pytest.raises(BadSetting, match="--data"):
        load({})


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_setting_is_an_option_and_is_documented(name: str) -> None:
    options = {action.dest for action in parser()._actions}
    assert name in options
    text = DOCS.read_text(encoding="utf-8")
    assert f"`--{name.replace('_', '-')}`" in text
    assert f"`CWT_HUB_{name.upper()}`" in text
