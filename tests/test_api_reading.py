"""`import hundredweight` to read: files and tensors of revisions, experiments, releases."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import hundredweight
from hundredweight.base.errors import UsageError
from hundredweight.client.revision_files import CannotFetch
from hundredweight.client.tensor_arrays import Tensors
from hundredweight.client.weight_files import CannotOpen, NotWeights
from hundredweight.git.repository import NotARepository
from hundredweight.lineage import experiments
from hundredweight.lineage.record import Record, Weights
from tests.clones import Clone, oid_of, pointer_of
from tests.people import PROGRAMS
from tests.running_hub import RunningHub

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def model(scale: float = 1) -> bytes:
    return save(
        {
            "a": VALUES * scale,
            "b": np.array([1, -2], np.int64),
            "half": VALUES.astype(np.float16),
            "none": np.zeros((0, 3)),
        }
    )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path / "clone")
    made.write("data/train.csv", b"a,b\n1,2\n")
    made.commit_file("model.safetensors", model())
    made.git.output("tag", "-a", "-m", "out", "digits@v1.0.0")
    made.write("data/train.csv", b"changed\n")
    made.commit_file("model.safetensors", model(2))
    return made


def test_a_file_of_any_revision(clone: Clone) -> None:
    repo = str(clone.folder)
    with hundredweight.open("data/train.csv", "HEAD~1", repo=repo) as file:
        assert io.TextIOWrapper(file).read() == "a,b\n1,2\n"
    for rev, content in (("digits@v1.0.0", model()), ("digits@latest", model()), ("main", model(2)), (None, model(2))):
        with hundredweight.open("model.safetensors", rev, repo=clone.folder) as file:
            assert file.read() == content
            assert file.seek(-5, io.SEEK_END) == len(content) - 5
            assert file.read(100) == content[-5:]
            assert file.seek(2) == 2
            assert file.read(3) == content[2:5]
            assert file.tell() == 5
    with hundredweight.open("train.csv", "HEAD~1", repo=clone.folder / "data") as file:
        assert file.readline() == b"a,b\n"
    with hundredweight.open(clone.folder / "data" / "train.csv", "HEAD", repo=repo) as file:
        assert list(file) == [b"changed\n"]


def test_what_cannot_be_opened(clone: Clone, tmp_path: Path) -> None:
    with pytest.raises(CannotOpen):
        hundredweight.open("nothing", "HEAD", repo=clone.folder)
    with pytest.raises(CannotOpen):
        hundredweight.open("nothing", repo=clone.folder)
    with pytest.raises(CannotOpen, match="outside"):
        hundredweight.open("../x", "HEAD", repo=clone.folder)
    with pytest.raises(UsageError, match="'nobody' is no revision"):
        hundredweight.open("model.safetensors", "nobody", repo=clone.folder)
    with pytest.raises(NotWeights):
        hundredweight.load_tensors("data/train.csv", "HEAD~1", repo=clone.folder)
    with pytest.raises(NotARepository):
        hundredweight.experiments(tmp_path)
    with pytest.raises(AttributeError):
        hundredweight.nothing  # noqa: B018 - asking is what is tested


def test_tensors_of_a_revision(clone: Clone) -> None:
    with hundredweight.load_tensors("model.safetensors", "digits@v1.0.0", repo=clone.folder) as old:
        assert set(old) == {"a", "b", "half", "none"}
        kept = old["a"]
        assert np.array_equal(kept, VALUES)
        assert not kept.flags.writeable
        assert not kept.flags.owndata
        assert old["b"].tolist() == [1, -2]
        assert old["half"].dtype == np.float16
        assert old["none"].shape == (0, 3)
        assert old.info("half") == ("F16", (3, 4))
        with pytest.raises(KeyError):
            old["nothing"]
    assert kept.sum() == VALUES.sum()
    with hundredweight.load_tensors("model.safetensors", repo=clone.folder) as new:
        assert np.array_equal(new["a"], VALUES * 2)
        assert len(new) == 4
        assert "clone/model.safetensors: 4>" in repr(new)


def safetensors_file(tensors: dict[str, tuple[str, list[int], bytes]]) -> bytes:
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = str(header).replace("'", '"').encode()
    return len(text).to_bytes(8, "little") + text + data


def test_types_that_numpy_has_not(clone: Clone) -> None:
    words = (VALUES.view(np.uint32) >> 16).astype(np.uint16)
    content = safetensors_file(
        {"bf": ("BF16", [3, 4], words.tobytes()), "f8": ("F8_E4M3", [3], bytes([0x38, 0xB8, 0x7E]))}
    )
    clone.commit_file("bf.safetensors", content)
    with hundredweight.load_tensors("bf.safetensors", "HEAD", repo=clone.folder) as tensors:
        assert tensors["bf"].dtype == np.float32
        assert np.array_equal(tensors["bf"], VALUES)
        assert tensors["f8"].tolist() == [1.0, -1.0, 448.0]
    with hundredweight.load_tensors("bf.safetensors", "HEAD", repo=clone.folder, widen=False) as raw:
        assert raw["bf"].dtype == np.uint16
        assert np.array_equal(raw["bf"], words)
        assert raw["f8"].tolist() == [0x38, 0xB8, 0x7E]
        assert raw.info("f8").dtype == "F8_E4M3"


def test_packed_objects_are_read_too(clone: Clone) -> None:
    values = (np.arange(1 << 20) % 1000).astype(np.float32)
    content = save({"large": values, "small": VALUES})
    oid = clone.put("large.safetensors", content)
    clone.commit()
    subprocess.run([PROGRAMS / "cwt", "pack"], cwd=clone.folder, check=True, capture_output=True)
    assert not (clone.folder / ".git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid).exists()
    with hundredweight.load_tensors("large.safetensors", "HEAD", repo=clone.folder) as tensors:
        assert np.array_equal(tensors["large"], values)
        assert np.array_equal(tensors["small"], VALUES)
    with hundredweight.open("large.safetensors", "HEAD", repo=clone.folder) as file:
        assert file.read() == content


def test_what_is_not_here_is_downloaded(clone: Clone, hub: RunningHub) -> None:
    name = hub.new_name()
    content = model(7)
    hub.upload(name, content)
    clone.write("far.safetensors", pointer_of(content).encode())
    clone.commit()
    url = hub.remote(name).replace("http://", f"http://admin:{hub.token}@")
    clone.git.output("config", "lfs.url", f"{url}/info/lfs")
    with hundredweight.load_tensors("far.safetensors", "HEAD", repo=clone.folder) as tensors:
        assert np.array_equal(tensors["a"], VALUES * 7)
    lost = model(8)
    clone.write("lost.safetensors", pointer_of(lost).encode())
    with pytest.raises(CannotFetch, match=oid_of(lost)[:12]) as caught:
        hundredweight.open("lost.safetensors", repo=clone.folder)
    assert caught.value.__cause__ is not None


def test_experiments_and_releases(clone: Clone) -> None:
    content = model(3)
    made = Record(
        "20261123-100000-aaaaaa",
        name="digits",
        weights=(Weights("model.safetensors", clone.store(content), len(content)),),
    )
    experiments.write(
        clone.git, clone.git.text("rev-parse", "HEAD"), made, {"model.safetensors": pointer_of(content).encode()}
    )
    (found,) = hundredweight.experiments(clone.folder)
    assert found.record == made
    with hundredweight.load_tensors("model.safetensors", "digits", repo=clone.folder) as tensors:
        assert isinstance(tensors, Tensors)
        assert np.array_equal(tensors["a"], VALUES * 3)
    (release,) = hundredweight.releases(clone.folder)
    assert (release.name, release.model) == ("digits@v1.0.0", "digits")
    bad = Record("20261123-100001-bbbbbb")
    experiments.write(clone.git, "", bad, {bad.path: b"{"})
    with pytest.warns(UserWarning, match="bbbbbb"):
        assert len(hundredweight.experiments(clone.folder)) == 2
