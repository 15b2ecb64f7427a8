"""What a three-way merge of weights decides, by digests alone."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client.merge_plan import Conflict, Item, Items, MergePlan, merge_metadata, plan_merge, renames
from hundredweight.client.merge_rules import BadStrategy, MergeRules, configured_rules, parse_rules
from hundredweight.formats.tensors import Tensor
from hundredweight.git.config import Config

NONE = MergeRules()


def items(**values: str | tuple[str, str] | tuple[str, str, tuple[int, ...]]) -> Items:
    """name=value: tensors of four F32 elements, or name=(value, type, shape)."""
    made = {}
    for name, value in values.items():
        text, dtype, shape = (value, "F32", (4,)) if isinstance(value, str) else (*value, (4,))[:3]
        made[name] = Item(Tensor(name, dtype, shape, 0, 16), hashlib.sha256(text.encode()).digest())
    return made


def decided(plan: MergePlan) -> dict[str, str]:
    return {result.name: result.how for result in plan.results}


def test_what_one_side_did_is_done() -> None:
    base = items(same="0", ours="0", theirs="0", both="0", gone_ours="0", gone_theirs="x", gone_both="y", shaped="0")
    ours = items(same="0", ours="1", theirs="0", both="2", gone_theirs="x", shaped="0", new_ours="n", new_both="m")
    theirs = items(
        new_both="m",
        same="0",
        ours="0",
        theirs="3",
        both="2",
        gone_ours="0",
        shaped=("0", "F32", (2, 2)),
        new_theirs="p",
    )
    plan = plan_merge(base, ours, theirs, NONE)
    assert not plan.conflicts
    assert decided(plan) == {
        "same": "ours", "ours": "ours", "theirs": "theirs", "both": "ours", "shaped": "theirs", "new_ours": "ours",
        "new_both": "ours", "new_theirs": "theirs",
    }  # fmt: skip
    assert [result.name for result in plan.results][-1] == "new_theirs"
    assert plan_merge(base, ours, base, NONE).same_tensors(ours)
    assert plan_merge(base, base, theirs, NONE).same_tensors(theirs)
    assert plan_merge(base, ours, ours, NONE).same_tensors(ours)


def test_conflicts_name_the_tensors() -> None:
    base = items(a="0", b="0", c="0", d="0", same="0")
    ours = items(a="1", b="1", d=("1", "F32", (2, 2)), e="1", same="0")
    theirs = items(a="2", c="2", d="2", e="2", same="0")
    assert plan_merge(base, ours, theirs, NONE).conflicts == [
        Conflict("a", "changed on both sides"),
        Conflict("b", "changed by ours, removed by theirs"),
        Conflict("c", "removed by ours, changed by theirs"),
        Conflict("d", "changed on both sides, to F32 2x2 and F32 4"),
        Conflict("e", "added on both sides"),
    ]
    chosen = plan_merge(base, ours, theirs, MergeRules("ours"))
    assert chosen.same_tensors(ours)
    chosen = plan_merge(base, ours, theirs, MergeRules("theirs"))
    assert chosen.same_tensors(theirs)
    assert not chosen.conflicts


def test_strategies_that_compute_refuse_what_they_cannot() -> None:
    base = items(a="0", b="0", i=("0", "I64"), d="0", q=("0", "F8_E4M3"))
    ours = items(a="1", b="1", i=("1", "I64"), d=("1", "F16"), e="1", q=("1", "F8_E4M3"))
    theirs = items(a="2", i=("2", "I64"), d="2", e="2", q=("2", "F8_E4M3"))
    plan = plan_merge(base, ours, theirs, MergeRules("sum"))
    assert decided(plan) == {"a": "sum"}
    assert plan.conflicts == [
        Conflict("b", "changed by ours, removed by theirs, which has no sum"),
        Conflict("i", "changed on both sides, and type I64 has no sum"),
        Conflict("d", "changed on both sides, to F16 4 and F32 4, which has no sum"),
        Conflict("q", "changed on both sides, and type F8_E4M3 has no sum"),
        Conflict("e", "added on both sides, and there is no base of its type and shape for a sum"),
    ]
    rules = parse_rules("average", ["b=ours", "[idq]=theirs"], "here")
    assert decided(plan_merge(base, ours, theirs, rules)) == {
        "a": "average", "b": "ours", "i": "theirs", "d": "theirs", "e": "average", "q": "theirs",
    }  # fmt: skip


def test_a_rename_on_one_side_takes_the_change_of_the_other() -> None:
    base = items(a="0", b="1", c="2")
    ours = items(x="0", b="1", c="2")
    assert renames(base, ours) == {"a": "x"}
    plan = plan_merge(base, ours, items(a="9", b="1", c="2"), NONE)
    assert decided(plan) == {"x": "theirs", "b": "ours", "c": "ours"}
    assert not plan.conflicts
    mirrored = plan_merge(base, items(a="9", b="1", c="2"), ours, NONE)
    assert decided(mirrored) == {"x": "ours", "b": "ours", "c": "ours"}
    assert decided(plan_merge(base, ours, ours, NONE)) == {"x": "ours", "b": "ours", "c": "ours"}
    assert plan_merge(base, ours, items(b="1", c="2"), NONE).same_tensors(items(b="1", c="2"))


def test_renames_that_contradict_each_other() -> None:
    base, ours, theirs = items(a="0", b="1"), items(x="0", b="1"), items(y="0", b="1")
    assert plan_merge(base, ours, theirs, NONE).conflicts == [
        Conflict("a", "renamed to 'x' by ours and to 'y' by theirs")
    ]
    assert decided(plan_merge(base, ours, theirs, MergeRules("theirs"))) == {"y": "ours", "b": "ours"}
    taken = plan_merge(base, items(x="0", b="1"), items(a="0", b="1", x="7"), NONE)
    assert taken.conflicts == [Conflict("x", "two tensors would have this name")]


def test_equal_tensors_are_no_rename() -> None:
    """Which of two equal ones became which is anybody's guess; so are tensors without elements."""
    assert renames(items(a="0", b="0"), items(x="0", y="0")) == {}
    assert renames(items(a=("", "F32", (0,))), items(b=("", "F32", (0,)))) == {}


VERSIONS = st.tuples(*[st.dictionaries(st.sampled_from("abcd"), st.sampled_from("012"))] * 3)


@given(VERSIONS)
def test_without_renames_it_is_the_merge_of_maps(versions: tuple[dict[str, str], ...]) -> None:
    # The name in the bytes: no two tensors are alike, so none is taken for renamed.
    base, ours, theirs = (items(**{name: name + value for name, value in one.items()}) for one in versions)
    plan = plan_merge(base, ours, theirs, NONE)
    expected, conflicts = {}, set()
    for name in {*base, *ours, *theirs}:
        before, mine, other = base.get(name), ours.get(name), theirs.get(name)
        if mine != other and before not in (mine, other):
            conflicts.add(name)
        elif (chosen := other if mine == before else mine) is not None:
            expected[name] = chosen
    assert {conflict.name for conflict in plan.conflicts} == conflicts
    assert {result.name: result.item for result in plan.results} == expected


@given(VERSIONS)
def test_sides_are_equal(versions: tuple[dict[str, str], ...]) -> None:
    """With renames too, exchanging the sides changes no outcome."""
    base, ours, theirs = (items(**one) for one in versions)
    one, other = plan_merge(base, ours, theirs, NONE), plan_merge(base, theirs, ours, NONE)
    assert bool(one.conflicts) == bool(other.conflicts)
    if not one.conflicts:
        assert {r.name: r.item.content for r in one.results} == {r.name: r.item.content for r in other.results}


def test_without_a_base_everything_was_added() -> None:
    plan = plan_merge({}, items(a="0", b="1"), items(b="1", c="2"), NONE)
    assert decided(plan) == {"a": "ours", "b": "ours", "c": "theirs"}


def test_metadata_is_merged_by_key() -> None:
    def merged(rules: MergeRules) -> MergePlan:
        plan = MergePlan()
        base = {"same": "0", "ours": "0", "theirs": "0", "gone": "0", "both": "0", "kept": "0"}
        ours = {"same": "0", "ours": "1", "theirs": "0", "both": "1", "kept": "0", "new": "1"}
        theirs = {"same": "0", "ours": "0", "theirs": "2", "gone": "0", "both": "2", "other": "2"}
        merge_metadata(plan, base, ours, theirs, rules)
        return plan

    expected = {"same": "0", "ours": "1", "theirs": "2", "new": "1", "other": "2"}
    assert merged(NONE).conflicts == [Conflict("__metadata__.both", "changed on both sides")]
    assert merged(MergeRules("theirs")).metadata == {**expected, "both": "2"}
    averaged = merged(MergeRules("average"))
    assert (averaged.metadata, averaged.kept) == ({**expected, "both": "1"}, ["both"])
    by_rule = merged(parse_rules("", ["__metadata__.b*=theirs"], "here"))
    assert (by_rule.metadata["both"], by_rule.conflicts) == ("2", [])


def test_rules_come_from_the_configuration() -> None:
    config = Config([
        ("hundredweight.merge.strategy", "average"),
        ("hundredweight.merge.rule", "*.bias=ours"),
        ("hundredweight.merge.rule", "head.*=theirs"),
        ("hundredweight.merge.rule", "odd=name=sum"),
    ])  # fmt: skip
    rules = configured_rules(config, {})
    assert [rules.strategy(name) for name in ("a.w", "a.bias", "head.bias", "odd=name")] == [
        "average", "ours", "theirs", "sum",
    ]  # fmt: skip
    chosen = configured_rules(config, {"CWT_MERGE_STRATEGY": "conflict"})
    assert (chosen.strategy("a.w"), chosen.strategy("a.bias")) == ("conflict", "ours")
    assert configured_rules(Config(), {}).strategy("a") == "conflict"


@pytest.mark.parametrize(
    ("key", "value"), [("strategy", "mean"), ("rule", "a=mean"), ("rule", "ours"), ("rule", "=ours")]
)
def test_a_strategy_that_is_none_is_named(key: str, value: str) -> None:
    with pytest.raises(BadStrategy, match=r"is no merge strategy") as caught:
        configured_rules(Config([(f"hundredweight.merge.{key}", value)]), {})
    assert caught.value.text == value
    with pytest.raises(BadStrategy, match="'x' \\(CWT_MERGE_STRATEGY\\)"):
        configured_rules(Config(), {"CWT_MERGE_STRATEGY": "x"})
