"""The catalogue as a file."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from banquet.wire.catalogue_file import (
    KEPT_VERSIONS,
    POINTER,
    BadCatalogue,
    Column,
    Pointer,
    Strings,
    catalogue_path,
    point_to,
    read_catalogue,
    read_pointer,
    write_catalogue,
)

COLUMNS = {
    "year": Column("number", "item_profile", np.array([1990.0, np.nan], np.float32)),
    "colour": Column("category", "item_profile", np.array([0, -1], np.int32), Strings.of(["rød"])),
    "genres": Column("categories", "item_profile", np.array([1, 0], np.int32), Strings.of(["a", "b"]), np.array([0, 2, 2])),
}


def publish(folder, ids=("i1", "i2"), columns=COLUMNS, confirmed_at_s=1.0):
    return write_catalogue(
        folder,
        list(ids),
        columns,
        statuses={"item_profile": np.array([2, 0], np.uint8)},
        event_times_us={"item_profile": np.array([5, 0], np.int64)},
        confirmed_at_s=confirmed_at_s,
    )


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8))
def test_strings_hold_any_text(texts):
    """Every list of texts, empty ones and any script included, reads back by index and as a whole."""
    strings = Strings.of(texts)
    assert strings.to_list() == texts
    assert [strings[index] for index in range(len(strings))] == texts


def test_a_catalogue_reads_back_as_it_was_written(tmp_path):
    """Ids, columns of every kind, statuses and event times survive."""
    catalogue = read_catalogue(tmp_path, publish(tmp_path))
    assert catalogue.ids.to_list() == ["i1", "i2"]
    assert catalogue.columns.keys() == COLUMNS.keys()
    for name, column in COLUMNS.items():
        read = catalogue.columns[name]
        assert (read.kind, read.view) == (column.kind, column.view)
        np.testing.assert_array_equal(read.values, column.values)
    assert [catalogue.columns["genres"].text(row) for row in (0, 1)] == ["b|a", ""]
    assert [catalogue.columns["colour"].text(row) for row in (0, 1)] == ["rød", ""]
    assert [catalogue.columns["year"].text(row) for row in (0, 1)] == ["1990.0", ""]
    assert catalogue.statuses["item_profile"].tolist() == [2, 0]
    assert catalogue.event_times_us["item_profile"].tolist() == [5, 0]


def test_a_catalogue_without_items_is_a_catalogue(tmp_path):
    """A store that is still empty publishes zero rows, not an error."""
    version = write_catalogue(tmp_path, [], {}, statuses={}, event_times_us={}, confirmed_at_s=0.0)
    assert len(read_catalogue(tmp_path, version).ids) == 0


def test_equal_content_keeps_its_version_and_confirms_it(tmp_path):
    """Publishing the same content again only moves the moment it was confirmed."""
    version = publish(tmp_path, confirmed_at_s=1.0)
    assert publish(tmp_path, confirmed_at_s=2.0) == version
    assert read_pointer(tmp_path) == Pointer(version, 2.0)


def test_other_content_has_another_version(tmp_path):
    """The version is the content's."""
    assert publish(tmp_path) != publish(tmp_path, ids=("i1", "i3"))


@given(position=st.integers(0, 10_000))
def test_a_changed_byte_is_refused_with_the_files_name(tmp_path_factory, position):
    """No byte of a version can change unnoticed."""
    folder = tmp_path_factory.mktemp("changed")
    path = catalogue_path(folder, publish(folder))
    body = bytearray(path.read_bytes())
    body[position % len(body)] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadCatalogue, match=path.name):
        read_catalogue(folder, path.stem)


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_truncated_file_is_refused_with_its_name(tmp_path, content):
    """An empty file and a stub of one are damaged catalogues, not crashes."""
    path = catalogue_path(tmp_path, publish(tmp_path))
    path.write_bytes(content)
    with pytest.raises(BadCatalogue, match=path.name):
        read_catalogue(tmp_path, path.stem)


@pytest.mark.parametrize("version", ["../../etc/passwd", "", "0" * 15, "0" * 17, "g" * 16, "0" * 16 + "\n"])
def test_only_a_version_becomes_a_path(tmp_path, version):
    """A version taken from a payload cannot lead out of the folder."""
    with pytest.raises(BadCatalogue, match="not 16 hex digits"):
        read_catalogue(tmp_path, version)


def test_no_pointer_means_no_catalogue_yet(tmp_path):
    """Before the first build there is no version in force, and that is no error."""
    assert read_pointer(tmp_path) is None


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"version": 5, "confirmed_at_s": 1}', '{"version": "x", "confirmed_at_s": 1}'])
def test_a_damaged_pointer_is_named(tmp_path, body):
    """A pointer that is no pointer raises with the file's name and the remedy."""
    (tmp_path / POINTER).write_text(body)
    with pytest.raises(BadCatalogue, match=POINTER):
        read_pointer(tmp_path)


def test_the_pointer_is_replaced_never_rewritten(tmp_path):
    """Whoever has the old pointer open goes on reading the old one, whole."""
    first = publish(tmp_path)
    with (tmp_path / POINTER).open() as opened:
        point_to(tmp_path, Pointer("0" * 16, 9.0))
        assert json.load(opened)["version"] == first
    assert read_pointer(tmp_path) == Pointer("0" * 16, 9.0)


def test_a_failed_write_leaves_the_old_pointer_and_no_litter(tmp_path, monkeypatch):
    """A full disk costs the new version, not the old one."""
    version = publish(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(OSError, match="No space"):
        point_to(tmp_path, Pointer("0" * 16, 9.0))
    assert read_pointer(tmp_path) == Pointer(version, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_old_versions_go_and_the_newest_stay(tmp_path):
    """The folder keeps the version in force and those just before it."""
    versions = []
    for number in range(KEPT_VERSIONS + 2):
        versions.append(publish(tmp_path, ids=("i1", f"i{number}")))
        os.utime(catalogue_path(tmp_path, versions[-1]), (number, number))
    kept = {path.stem for path in tmp_path.glob("*.safetensors")}
    assert kept == set(versions[-KEPT_VERSIONS:])
