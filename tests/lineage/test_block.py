"""The block in a release's tag."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage import block
from hundredweight.lineage.block import Facts
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import DataVersion, Environment, Weights

VALUES = st.one_of(
    st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20), st.booleans()
)
TABLES = st.dictionaries(st.text(min_size=1, max_size=12), VALUES, max_size=4)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FACTS = st.builds(
    Facts,
    metrics=TABLES,
    parameters=TABLES,
    weights=st.lists(st.builds(Weights, TEXTS, TEXTS, st.integers(0, 2**50), TEXTS), max_size=2).map(tuple),
    data=st.lists(
        st.builds(DataVersion, TEXTS, TEXTS, TEXTS, TEXTS, st.integers(0, 9), st.integers(0, 9)), max_size=2
    ).map(tuple),
    environment=st.builds(Environment, TEXTS, TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3)),
    experiment=TEXTS,
)


@given(FACTS, TEXTS, TEXTS)
def test_a_block_comes_back(facts: Facts, model: str, release: str) -> None:
    _, told = block.split(block.write(model, release, facts))
    found = block.read(told, "the tag")
    assert (found.model, found.release, found.facts) == (model, release, facts)


def test_notes_may_quote_a_block() -> None:
    facts = Facts(metrics={"acc": 0.9})
    notes = f"As the last time:\n{block.write('other', 'v1.0.0', Facts(metrics={'acc': 0.1}))}"
    said, told = block.split(f"{notes}\n{block.write('digits', 'v2.0.0', facts)}")
    assert block.read(told, "t").facts == facts
    assert said == notes.strip()


def test_a_message_without_a_block_is_all_notes() -> None:
    assert block.split("Release 1\n\nfine\n") == ("Release 1\n\nfine", "")


def test_fields_of_newer_versions_are_passed_over() -> None:
    told = json.dumps({"version": 9, "model": "digits", "metrics": {"acc": 1}, "carbon": {"kg": 3}})
    assert block.read(told, "t").facts == Facts(metrics={"acc": 1})


@pytest.mark.parametrize(
    "told", ["{", "[]", '{"metrics": 3}', '{"version": 0}', '{"weights": [{"size": "x"}]}', '{"model": 3}']
)
def test_what_is_no_block_is_told(told: str) -> None:
    with pytest.raises(RecordInvalid, match="the tag 'x'"):
        block.read(told, "the tag 'x'")
