"""Sealing a release, and telling whether it still is what was sealed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banquet.core.errors import BadRelease
from banquet.releases import manifest
from banquet.wire.catalogue_file import Strings
from banquet.wire.schema import Feature, FeatureSchema
from banquet.wire.tensors import pack

SCHEMA = FeatureSchema((Feature("age", "user_profile", "number"),), (), 5, ("i1", "i2"))
ABOUT = {"models": {"ranker": {"inputs": ["history"], "outputs": ["scores"]}}, "dataset": "d", "preset": "quick", "seed": 1}


def seal(folder, schema=SCHEMA, metrics=None, ids=("i1", "i2"), without=None):
    """Seal a folder of nearly empty files."""
    strings = Strings.of(ids)
    files = {
        "items.safetensors": pack(
            {"ids.blob": strings.blob, "ids.offsets": strings.offsets, "vectors": np.zeros((2, 3), np.float32)}
        ),
        "golden.safetensors": pack({}),
        "graphs/ranker.onnx": b"graph",
        "graphs/ranker.onnx.data": b"weights",
        "programs/ranker.pt2": b"program",
    }
    for name, content in files.items():
        if name != without:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return manifest.seal(folder, schema=schema, metrics=metrics or {}, **ABOUT)


def test_a_sealed_release_reads_back_whole(tmp_path):
    """Version, schema with item ids, graphs, metrics and origin survive."""
    version = seal(tmp_path, metrics={"ndcg@10": 0.25})
    sealed = manifest.verify(tmp_path)
    assert (sealed.version, sealed.schema, sealed.metrics) == (version, SCHEMA, {"ndcg@10": 0.25})
    assert (sealed.dataset, sealed.preset, sealed.seed, sealed.models) == ("d", "quick", 1, ABOUT["models"])


def test_the_version_is_the_contents(tmp_path):
    """Equal content gives an equal version whenever it is sealed; any other content another one."""
    first = seal(tmp_path / "a")
    body = json.loads((tmp_path / "a/manifest.json").read_text())
    assert seal(tmp_path / "b") == first
    assert seal(tmp_path / "c", metrics={"auc": 0.5}) != first
    assert len(first) == 12
    assert body["version"] == first


@pytest.mark.parametrize("missing", ["items.safetensors", "golden.safetensors", "graphs/ranker.onnx", "programs/ranker.pt2"])
def test_a_release_that_lacks_a_part_is_not_sealed(tmp_path, missing):
    """The missing file is named, and no manifest is left behind."""
    with pytest.raises(BadRelease, match=missing):
        seal(tmp_path, without=missing)
    assert not (tmp_path / "manifest.json").exists()


def test_item_ids_that_are_not_the_schemas_are_refused(tmp_path):
    """Vectors in another order than the schema's index would recommend the wrong items."""
    with pytest.raises(BadRelease, match=r"items\.safetensors"):
        seal(tmp_path, ids=("i2", "i1"))
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("value", [float("nan"), np.float32(1.0), {1, 2}], ids=["nan", "numpy", "set"])
def test_a_metric_that_is_not_json_is_refused(tmp_path, value):
    """A manifest that other programs cannot read is not written."""
    with pytest.raises(BadRelease, match=r"manifest\.json"):
        seal(tmp_path, metrics={"auc": value})


def test_a_missing_file_is_named(tmp_path):
    """Verification names the file that went."""
    seal(tmp_path)
    (tmp_path / "graphs/ranker.onnx.data").unlink()
    with pytest.raises(BadRelease, match=r"graphs/ranker\.onnx\.data: missing"):
        manifest.verify(tmp_path)


def test_an_extra_file_is_named(tmp_path):
    """Verification names a file nobody sealed."""
    seal(tmp_path)
    (tmp_path / "programs/other.pt2").write_bytes(b"?")
    with pytest.raises(BadRelease, match=r"programs/other\.pt2: not part"):
        manifest.verify(tmp_path)


@given(position=st.integers(0, 10_000), name=st.sampled_from(["items.safetensors", "graphs/ranker.onnx", "manifest.json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_changed_byte_is_named(tmp_path, position, name):
    """No byte of any file, the manifest included, can change unnoticed."""
    shutil.rmtree(tmp_path / "r", ignore_errors=True)
    seal(tmp_path / "r")
    path = tmp_path / "r" / name
    body = bytearray(path.read_bytes())
    body[position % len(body)] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadRelease, match=path.name.replace(".", r"\.")):
        manifest.verify(tmp_path / "r")


def test_loading_notices_changed_item_ids(tmp_path):
    """Loading alone, without a full verification, still never gives wrong item ids."""
    seal(tmp_path)
    strings = Strings.of(["i2", "i1"])
    (tmp_path / "items.safetensors").write_bytes(pack({"ids.blob": strings.blob, "ids.offsets": strings.offsets}))
    with pytest.raises(BadRelease, match=r"items\.safetensors: changed"):
        manifest.load(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', '{"created_at": "x", "files": []}'])
def test_what_is_no_manifest_is_named(tmp_path, content):
    """Rubbish in place of a manifest is refused with the file's name."""
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BadRelease, match=r"manifest\.json"):
        manifest.load(tmp_path)


def test_a_folder_without_a_manifest_is_no_release(tmp_path):
    """The manifest that is missing is named."""
    with pytest.raises(BadRelease, match=r"manifest\.json"):
        manifest.load(tmp_path)


def test_a_real_release_verifies(release):
    """A release with exported graphs is as it was sealed."""
    assert manifest.verify(release).version == release.name
