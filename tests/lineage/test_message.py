"""Messages of experiments: read back as written; those by hand; git's own reader agrees on the trailers."""

from __future__ import annotations

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from hundredweight.lineage import message
from hundredweight.lineage.fields import Value
from hundredweight.lineage.record import DataVersion, Gpu, Hardware, Record, Status, Tracker, Weights

BY_HAND = """Train digits on data v1.1
- Hyperparameters: lr=3e-5, batch_size=32, epochs=10
- Hardware: 4x A100 GPUs
- Performance: val_loss=0.42, test_acc=89.1%
"""
RECORD = Record(
    id="20261123-140000-abc123",
    name="digits",
    parameters={"lr": 3e-05, "batch_size": 32, "note": "a, b"},
    metrics={"val_loss": 0.42},
    hardware=Hardware("EPYC", 64, 1 << 39, (Gpu("A100", 80 << 30, 4),)),
    data=(DataVersion("data", "v1.1", "1" * 40, "2" * 64),),
    weights=(Weights("model.safetensors", "3" * 64, 5, "w1-" + "4" * 64),),
    trackers=(Tracker("mlflow", "run7"),),
)
KEYS = st.from_regex(r"[a-z][a-z0-9_.]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.integers(-(10**12), 10**12),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=12).map(
        lambda text: " ".join(text.split())
    ),
)


def test_a_message_by_hand_is_an_experiment() -> None:
    found = message.read(BY_HAND)
    assert found is not None
    assert found.name == "digits"
    assert found.data == "v1.1"
    assert found.hardware == "4x A100 GPUs"
    assert found.parameters == {"lr": 3e-05, "batch_size": 32, "epochs": 10}
    assert found.metrics == {"val_loss": 0.42, "test_acc": 0.891}
    assert found.experiment == ""


def test_what_is_written_looks_as_people_write_it() -> None:
    text = message.write(RECORD)
    assert text.splitlines()[:4] == [
        "Train digits on data v1.1",
        '- Hyperparameters: lr=3e-5, batch_size=32, note="a, b"',
        "- Hardware: 4x A100 GPUs",
        "- Performance: val_loss=0.42",
    ]


def test_git_reads_the_same_trailers() -> None:
    text = message.write(RECORD)
    said = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=text, capture_output=True, text=True, check=True
    ).stdout
    found = message.read(text)
    assert found is not None
    assert said.splitlines() == [f"{key}: {value}" for key, values in found.trailers.items() for value in values]
    assert found.experiment == RECORD.id
    assert found.trailers["Dataset"] == ("data@v1.1",)


def test_other_messages_say_nothing() -> None:
    for text in ("", "Fix a typo", "Train the team\n\nAll of it.", "Update model\n\nSigned-off-by: A <a@b.c>"):
        assert message.read(text) is None


def test_a_failed_run_says_so() -> None:
    assert "- Status: failed, exit code 3" in message.write(Record("x", status=Status.FAILED, exit_code=3))


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=8), st.dictionaries(KEYS, VALUES, max_size=8))
def test_values_come_back(parameters: dict[str, Value], metrics: dict[str, Value]) -> None:
    found = message.read(message.write(Record("20261123-140000-abc123", parameters=parameters, metrics=metrics)))
    assert found is not None
    assert found.parameters == parameters
    assert found.metrics == metrics
