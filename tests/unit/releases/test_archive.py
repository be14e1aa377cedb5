"""Archives: deterministic, self-contained, and refused when a byte changed."""

from __future__ import annotations

import json
import os
import zipfile

import pytest
import yaml
from model_archiver.manifest_components.manifest import Manifest
from model_archiver.manifest_components.model import Model

from banquet.core.errors import BadRelease
from banquet.releases import archive, mar


def build(release, store):
    return {one.model: one for one in archive.build(release, store)}


def rewrite(path, change):
    """Write a zip again with its entries (name -> content) changed."""
    with zipfile.ZipFile(path) as zipped:
        entries = {name: zipped.read(name) for name in zipped.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in entries.items():
            zipped.writestr(name, content)


def test_each_model_gets_an_archive(release, tmp_path):
    """Three archives, named after model and release."""
    built = build(release, tmp_path / "store")
    assert {one.path.name for one in built.values()} == {
        f"{model}-{release.name}.mar" for model in ("retrieval", "ranking", "cascade")
    }
    assert all(one.written for one in built.values())
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == sorted(one.path.name for one in built.values())


def test_the_same_release_gives_the_same_bytes(release, tmp_path):
    """Wherever, whenever and from whatever file times it is built."""
    first = build(release, tmp_path / "a")
    os.utime(release / "manifest.json", (1, 1))
    second = build(release, tmp_path / "b")
    for model, one in first.items():
        assert one.path.read_bytes() == second[model].path.read_bytes()


def test_a_second_build_redoes_nothing(release, tmp_path):
    """An archive that is as it should be is left alone."""
    before = {one.path: one.path.stat().st_mtime_ns for one in build(release, tmp_path).values() if one.path.suffix == ".mar"}
    again = build(release, tmp_path)
    assert not any(one.written for one in again.values())
    assert {one.path: one.path.stat().st_mtime_ns for one in again.values()} == before


def test_a_damaged_archive_is_built_again(release, tmp_path):
    """What lies at the archive's place and is not the archive is replaced."""
    path = build(release, tmp_path)["ranking"].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    again = build(release, tmp_path)
    assert [model for model, one in again.items() if one.written] == ["ranking"]
    assert path.read_bytes() == whole


def test_an_archive_holds_what_its_model_needs_and_no_more(release, tmp_path):
    """The retrieval archive carries no ranking model; every archive carries the code and both forms of its graphs."""
    files = set(mar.inspect(build(release, tmp_path)["retrieval"].path).files)
    graphs = {name for name in files if name.startswith(("release/graphs", "release/programs"))}
    assert graphs == {
        f"release/{form}"
        for graph in ("item_encoder", "history_encoder")
        for form in (f"graphs/{graph}.onnx", f"programs/{graph}.pt2")
    }
    assert {
        "retrieval.py",
        "handlers/worker.py",
        "banquet/__init__.py",
        "banquet/wire/tensors.py",
        "release/manifest.json",
    } <= files
    assert not [
        name for name in files if name.startswith("banquet/") and not name.startswith(("banquet/wire/", "banquet/__init__"))
    ]


def test_torchserve_finds_the_manifest_its_archiver_would_write(release, tmp_path):
    """Every key of the archiver's own manifest is there; the version is the release's."""
    path = build(release, tmp_path)["cascade"].path
    model = Model("cascade", None, "cascade.py", model_version=release.name, config_file=mar.CONFIG_FILE)
    archivers = Manifest("python", model).manifest_dict
    with zipfile.ZipFile(path) as zipped:
        ours = json.loads(zipped.read("MAR-INF/MANIFEST.json"))
    assert {key: ours[key] for key in archivers if key != "createdOn"} == {
        key: value for key, value in archivers.items() if key != "createdOn"
    }


def test_torchserve_runs_the_model_as_the_gateway_expects(release, tmp_path):
    """One job at a time; time-outs, queue and number of workers are left to the server."""
    with zipfile.ZipFile(build(release, tmp_path)["cascade"].path) as zipped:
        config = yaml.safe_load(zipped.read("model-config.yaml"))
    assert config["batchSize"] == 1
    assert not {"jobQueueSize", "minWorkers", "maxWorkers"} & config.keys()
    assert config["responseTimeout"] == 5


def test_an_archive_verifies(release, tmp_path):
    """A fresh archive is as it was built, and says what it is."""
    one = build(release, tmp_path)["retrieval"]
    verified = mar.verify(one.path)
    assert (verified.model, verified.release) == ("retrieval", release.name)


@pytest.mark.parametrize("name", ["release/graphs/ranker.onnx", "handlers/worker.py", "model-config.yaml", "ranking.py"])
def test_a_changed_entry_is_named(release, tmp_path, name):
    """A changed byte in any entry is found even when the zip itself is whole."""
    path = build(release, tmp_path)["ranking"].path
    rewrite(path, lambda entries: entries.update({name: entries[name] + b" "}))
    with pytest.raises(BadRelease, match=f"{name} changed"):
        mar.verify(path)


def test_a_missing_and_an_extra_entry_are_named(release, tmp_path):
    """An archive holds exactly what was put in."""
    path = build(release, tmp_path)["ranking"].path
    rewrite(path, lambda entries: entries.update({"handlers/extra.py": b""}))
    with pytest.raises(BadRelease, match=r"handlers/extra\.py is extra"):
        mar.verify(path)
    rewrite(path, lambda entries: (entries.pop("handlers/extra.py"), entries.pop("handlers/ranker.py")))
    with pytest.raises(BadRelease, match=r"handlers/ranker\.py is missing"):
        mar.verify(path)


def test_a_changed_manifest_is_named(release, tmp_path):
    """The archive's own manifest cannot claim something else."""
    path = build(release, tmp_path)["ranking"].path
    change = {"MAR-INF/MANIFEST.json": b""}

    def claim(entries):
        change["MAR-INF/MANIFEST.json"] = entries["MAR-INF/MANIFEST.json"].replace(b'"runtime": "python"', b'"runtime": "LSP"')
        entries.update(change)

    rewrite(path, claim)
    with pytest.raises(BadRelease, match=r"MANIFEST\.json changed"):
        mar.verify(path)


def test_a_flipped_byte_in_the_file_is_refused(release, tmp_path):
    """Bit rot on disk is found and the archive named."""
    path = build(release, tmp_path)["retrieval"].path
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadRelease, match=path.name):
        mar.verify(path)


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_what_is_no_archive_is_named(tmp_path, content):
    """Rubbish is refused with the file's name."""
    (tmp_path / "x.mar").write_bytes(content)
    with pytest.raises(BadRelease, match=r"x\.mar"):
        mar.inspect(tmp_path / "x.mar")


def test_a_changed_release_is_not_archived(release, tmp_path):
    """Building starts with a verification; nothing is written from a damaged release."""
    with (release / "graphs/ranker.onnx").open("ab") as graph:
        graph.write(b" ")
    with pytest.raises(BadRelease, match=r"ranker\.onnx"):
        archive.build(release, tmp_path / "store")
    assert not (tmp_path / "store").exists()
