"""Model cards: what is added, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hundredweight.lineage import card
from hundredweight.lineage.card import Evaluation
from hundredweight.lineage.fields import RecordInvalid

TOLD = Evaluation("digits", {"test_acc": 0.891, "val_loss": 3e-5}, "data", "v1.1", "2026-11-23", "digits@v1.0.0")
README = """---
# who may use it
license: mit   # really
tags:
- vision  # and more

# results of others
model-index:
- name: elsewhere
  results: []
# at the end
language: [en,   de]
---
# Digits

---
text
"""


def front(data: bytes) -> dict[str, object]:
    return card.front_matter(data)


def index(data: bytes) -> dict[str, dict[str, object]]:
    """Metrics of `digits` by split: name -> value."""
    entries = front(data)["model-index"]
    assert isinstance(entries, list)
    own = next(entry for entry in entries if entry["name"] == "digits")
    return {r["dataset"].get("split", ""): {m["type"]: m["value"] for m in r["metrics"]} for r in own["results"]}


def test_a_new_card_has_all_that_is_known() -> None:
    made = card.update_readme(b"", TOLD)
    known = front(made)
    assert known["base_model"] == "digits@v1.0.0"
    assert known["datasets"] == ["data"]
    assert known["metrics"] == ["test_acc", "val_loss"]
    assert index(made) == {"test": {"test_acc": 0.891}, "validation": {"val_loss": 3e-5}}
    assert made.endswith(b"---\n\n# digits\n")


def test_only_the_lines_of_changed_keys_change() -> None:
    made = card.update_readme(README.encode(), TOLD).decode()
    for part in ("# who may use it\nlicense: mit   # really\ntags:\n- vision  # and more\n\n# results of others\n",
                 "# at the end\nlanguage: [en,   de]\n", "---\n# Digits\n\n---\ntext\n"):  # fmt: skip
        assert part in made
    assert made.index("elsewhere") < made.index("name: digits") < made.index("# at the end")


def test_a_second_time_nothing_changes() -> None:
    made = card.update_readme(README.encode(), TOLD)
    assert card.update_readme(made, TOLD) == made
    results = card.update_results(b"", TOLD)
    assert card.update_results(results, TOLD) == results


def test_what_people_chose_is_kept() -> None:
    before = (
        b"---\nbase_model: me/mine\ndatasets: mnist\nmetrics: [accuracy]\npipeline_tag: image-classification\n---\n"
    )
    made = card.update_readme(before, TOLD)
    known = front(made)
    assert (known["base_model"], known["datasets"]) == ("me/mine", "mnist")
    assert known["metrics"] == ["accuracy", "test_acc", "val_loss"]
    assert b"type: image-classification" in made


def test_a_better_value_takes_the_place_of_the_old_one_and_is_verified_no_more() -> None:
    before = card.update_readme(b"", TOLD).replace(
        b"value: 0.891\n", b"value: 0.8\n      verified: true\n      args: {a: 1}\n"
    )
    made = card.update_readme(before, Evaluation("digits", {"test_acc": 0.95}, "data", "v2"))
    assert index(made) == {"test": {"test_acc": 0.95}, "validation": {"val_loss": 3e-5}}
    assert b"verified" not in made
    assert b"a: 1" in made
    assert made.count(b"revision: v2") == 1


def test_what_was_measured_on_other_weights_alone_goes() -> None:
    theirs = b"- {dataset: {id: cais/hle, config: val_loss}, value: 1}\n"
    now = Evaluation("digits", {"test_f1": 0.7}, "data", "v2", gone=frozenset(("test_acc", "val_loss")))
    made = card.update_readme(card.update_readme(b"", TOLD), now)
    assert index(made) == {"test": {"test_f1": 0.7}}
    results = card.update_results(card.update_results(theirs, TOLD), now)
    assert [entry["dataset"]["config"] for entry in yaml.safe_load(results)] == ["val_loss", "test_f1"]
    assert results.startswith(theirs)
    silent = Evaluation("digits", {}, "data", "v2", gone=frozenset(("test_acc", "val_loss")))
    assert front(card.update_readme(card.update_readme(b"", TOLD), silent))["model-index"] == []
    assert "model-index" not in front(card.update_readme(b"", silent))


def test_line_ends_stay_those_of_windows() -> None:
    made = card.update_readme(README.replace("\n", "\r\n").encode(), TOLD)
    assert made.count(b"\n") == made.count(b"\r\n")
    assert front(made)["license"] == "mit"


@pytest.mark.parametrize(
    "text", ["---\na: [\n---\n", "---\n- a\n---\n", "---\n{a: 1}\n---\n", "---\nmodel-index: 3\n---\n"]
)
def test_front_matter_that_cannot_be_read_is_left_alone(text: str) -> None:
    with pytest.raises(RecordInvalid, match=r"README\.md") as caught:
        card.update_readme(text.encode(), TOLD)
    assert caught.value.hint


def test_a_rule_is_no_front_matter() -> None:
    made = card.update_readme(b"# Title\n\n---\nrest\n", TOLD)
    assert made.endswith(b"---\n\n# Title\n\n---\nrest\n")


def test_results_of_others_stay() -> None:
    before = b"# ours\n- dataset:\n    id: cais/hle  # the benchmark\n  value: 20.9\n  verifyToken: abc\n"
    before += b"- {dataset: {id: x}, value: 1}\n"
    made = card.update_results(before, TOLD)
    assert made.startswith(before)
    entries = yaml.safe_load(made)
    assert entries[2] == {
        "dataset": {"id": "data", "config": "test_acc", "split": "test", "revision": "v1.1"},
        "value": 0.891,
        "date": "2026-11-23",
    }
    newer = card.update_results(made, Evaluation("digits", {"test_acc": 0.9}, "data", "v1.2", "2026-12-01"))
    assert newer.startswith(before)
    assert [entry["value"] for entry in yaml.safe_load(newer)] == [20.9, 1, 0.9, 3e-5]


def test_results_that_are_no_list_are_left_alone() -> None:
    for before in (b"a: 1\n", b"[{value: 1}]\n"):
        with pytest.raises(RecordInvalid):
            card.update_results(before, TOLD)
    assert yaml.safe_load(card.update_results(b"[]\n", TOLD))


KEYS = st.sampled_from(
    ["license", "language", "tags", "metrics", "datasets", "base_model", "thumbnail", "x y", "model-index"]
)
PLAIN = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
    st.integers(),
    st.booleans(),
)
ITEMS = st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(st.text("abc", min_size=1), PLAIN, max_size=2))
INDEXES = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["a", "digits"])}), max_size=1)


@settings(max_examples=60)
@given(
    st.dictionaries(KEYS.filter(lambda key: key != "model-index"), ITEMS, max_size=6),
    INDEXES,
    st.text("abc\n#- ", max_size=30),
)
def test_other_keys_and_the_text_come_through(
    known: Mapping[str, object], entries: list[dict[str, object]], body: str
) -> None:
    whole = {**known, "model-index": entries}
    before = f"---\n{yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)}---\n{body}".encode()
    made = card.update_readme(before, TOLD)
    after = front(made)
    assert {key: after[key] for key in known if key != "metrics"} == {
        key: known[key] for key in known if key != "metrics"
    }
    assert made.endswith(b"---\n" + body.encode())
    assert index(made)["test"] == {"test_acc": 0.891}
