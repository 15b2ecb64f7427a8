"""Rows are told by content: not by the order of columns, by encoding marks, or by how the file was cut into pieces."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hundredweight.client.data.names import is_item, label_of_path, split_of_path, split_of_value
from hundredweight.client.data.rows import Columns, DataUnreadable, Item, Shape, read_rows

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)

FOUND = Columns()


def items(path: str, data: bytes, *, piece: int = 0, columns: Columns = FOUND) -> list[Item]:
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)] if piece else [data]
    return list(read_rows(path, pieces, "", columns, Shape()))


def as_csv(names: list[str], rows: list[list[str]], *, end: str = "\n", delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([names, *rows])
    return out.getvalue().encode()


def contents(found: list[Item]) -> list[tuple[bytes, bytes, bytes, str, str]]:
    return [item[:5] for item in found]


@given(st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=6), st.permutations([0, 1, 2]), st.integers(1, 7))
def test_order_of_columns_line_ends_and_pieces_do_not_count(
    rows: list[list[str]], order: list[int], piece: int
) -> None:
    names = ["text", "label", "note"]
    plain = items("a.csv", as_csv(names, rows))
    shuffled = as_csv([names[at] for at in order], [[row[at] for at in order] for row in rows], end="\r\n")
    assert contents(items("a.csv", shuffled, piece=piece)) == contents(plain)
    assert contents(items("a.csv", b"\xef\xbb\xbf" + shuffled)) == contents(plain)
    assert contents(items("a.tsv", as_csv(names, rows, delimiter="\t"))) == contents(plain)
    lines = b"".join(json.dumps(dict(zip(names, row, strict=True))).encode() + b"\n" for row in rows)
    assert contents(items("a.jsonl", lines, piece=piece)) == contents(plain)


@given(st.lists(TEXT, min_size=2, max_size=4), st.lists(TEXT, min_size=2, max_size=4))
def test_different_rows_differ(one: list[str], other: list[str]) -> None:
    found = [items("a.csv", as_csv([f"c{at}" for at in range(len(row))], [row]))[0].content for row in (one, other)]
    assert (found[0] == found[1]) == (one == other)


def test_a_quoted_field_may_have_line_ends() -> None:
    found = items("a.csv", b'text,label\n"one\ntwo",x\nthree,y\n')
    assert [item.label for item in found] == ["x", "y"]
    assert [item.line for item in found] == [3, 4]


def test_an_id_says_which_row_it_is_and_is_no_feature() -> None:
    one, other = items("a.csv", b"id,text,label\n1,hello,x\n2,hello,x\n")
    assert one.features == other.features
    assert one.key != other.key
    assert one.content != other.content
    renamed = items("a.csv", b"name,text,label\n1,hello,x\n", columns=Columns(id="name"))[0]
    assert (renamed.key, renamed.content) == (one.key, one.content)
    alone = items("a.csv", b"id,label\n1,x\n2,x\n")
    assert alone[0].features != alone[1].features


def test_the_split_is_no_part_of_the_row() -> None:
    found = items("a.csv", b"text,split\nhello,Training\nhello,dev\nhello,holdout-2\n")
    assert [item.split for item in found] == ["train", "val", "holdout-2"]
    assert len({item.content for item in found}) == 1


def test_the_index_that_pandas_writes_does_not_count() -> None:
    assert items("a.csv", b",text\n0,hello\n")[0].content == items("a.csv", b"text\nhello\n")[0].content


def test_a_file_without_header_keeps_its_first_row() -> None:
    found = items("a.csv", b"5.1,3.5,setosa\n4.9,3.0,setosa\n")
    assert len(found) == 2
    assert found[0].content != found[1].content


def test_values_of_json_keep_their_types_and_labels_do_not() -> None:
    number, text = items("a.jsonl", b'{"x": 1, "label": 1}\n{"x": "1", "label": "1"}\n')
    assert number.content != text.content
    assert number.label == text.label == "1"
    nested = items("a.jsonl", b'{"x": {"b": 1, "a": [2]}}\n\n{"x": {"a": [2], "b": 1}}\n')
    assert nested[0].content == nested[1].content
    assert [item.line for item in nested] == [1, 3]


def test_rows_with_too_few_or_too_many_fields_are_read_and_told() -> None:
    shape = Shape()
    data = b"text,label\nhello\nwell, hello,x\n\nbye,y\n"
    found = list(read_rows("a.csv", [data], "train", Columns(), shape))
    assert [item.label for item in found] == ["", " hello,x", "y"]
    assert shape.ragged == 2
    assert list(shape.columns) == ["text", "label"]


def test_utf_16_and_semicolons_are_read() -> None:
    plain = items("a.csv", b"text,label\nhello,x\n")
    assert contents(items("a.csv", "text;label\nhello;x\n".encode("utf-16"))) == contents(plain)


def test_what_is_no_json_is_told_with_its_line() -> None:
    with pytest.raises(DataUnreadable, match=r"'a\.jsonl', line 2: not JSON") as caught:
        items("a.jsonl", b'{"x": 1}\n{"x": \n')
    assert caught.value.line == 2


@given(st.binary(min_size=1, max_size=300), st.integers(1, 50))
def test_compressed_rows_are_rows(noise: bytes, piece: int) -> None:
    text = b"text,label\n" + noise.hex().encode() + b",x\n" + b"same,y\n" * 50
    plain = items("a.csv", text)
    halves = gzip.compress(text[:40]) + gzip.compress(text[40:])
    assert contents(items("a.csv.gz", halves, piece=piece)) == contents(plain)
    with pytest.raises(DataUnreadable, match=r"'a\.csv\.gz': it ends in the middle"):
        items("a.csv.gz", halves[:-9])
    with pytest.raises(DataUnreadable, match="not gzip"):
        items("a.csv.gz", text)


def test_an_empty_file_has_no_rows() -> None:
    assert items("a.csv", b"") == items("a.jsonl", b"") == items("a.csv", b"text,label\n") == []


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.csv", "train"),
        ("digits-train-00000-of-00003.jsonl", "train"),
        ("valid/a.png", "val"),
        ("dev.tsv", "val"),
        ("test_images/cat/1.png", "test"),
        ("train/test.csv", "test"),
        ("training/cat/latest.png", "train"),
        ("contest.csv", ""),
        ("images/1.png", ""),
    ],
)
def test_names_tell_the_split(path: str, split: str) -> None:
    assert split_of_path(path) == split


def test_folders_tell_the_label_and_names_what_an_item_is() -> None:
    assert (
        label_of_path("train/cat/1.png")
        == label_of_path("cat/train/1.png")
        == label_of_path("images/cat/a.png")
        == "cat"
    )
    assert label_of_path("train/1.png") == label_of_path("images/1.png") == ""
    assert split_of_value(" Validation ") == "val"
    assert is_item("cat/1.JPG")
    assert not any(map(is_item, ("README.txt", "labels.txt", "model.bin", ".hidden.png", "dataset_info.json")))
