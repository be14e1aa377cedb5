"""The catalogue as a file."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banquet.wire.catalogue_file import (
    KEPT_VERSIONS,
    POINTER,
    BadCatalogue,
    CatalogueReader,
    Column,
    Pointer,
    Strings,
    catalogue_path,
    drop_damaged,
    is_published,
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


def files_of(folder, version):
    """A version's manifest and parts."""
    return [catalogue_path(folder, version), *sorted((folder / "parts").iterdir())]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 9), position=st.integers(0, 10_000))
def test_a_changed_byte_is_refused_with_the_files_name(tmp_path, which, position):
    """No byte of a version can change unnoticed, and the damaged file can be told and dropped."""
    folder = tmp_path / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    version = publish(folder)
    files = files_of(folder, version)
    path = files[which % len(files)]
    body = bytearray(path.read_bytes())
    body[position % len(body)] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadCatalogue, match=path.name):
        read_catalogue(folder, version)
    assert drop_damaged(folder) == [path.name]
    assert publish(folder) == version
    read_catalogue(folder, version)


@pytest.mark.parametrize("content", [b"", b"short"])
@pytest.mark.parametrize("which", range(6))
def test_a_truncated_file_is_refused_with_its_name(tmp_path, which, content):
    """An empty file and a stub of one are damaged catalogues, not crashes."""
    version = publish(tmp_path)
    path = files_of(tmp_path, version)[which]
    path.write_bytes(content)
    with pytest.raises(BadCatalogue, match=path.name):
        read_catalogue(tmp_path, version)


def test_a_part_that_is_gone_is_named_and_written_again(tmp_path):
    """Someone tidied up; the next publication of the same content heals it."""
    version = publish(tmp_path)
    gone = files_of(tmp_path, version)[3]
    gone.unlink()
    assert not is_published(tmp_path, version)
    with pytest.raises(BadCatalogue, match=gone.name):
        read_catalogue(tmp_path, version)
    assert publish(tmp_path) == version
    assert is_published(tmp_path, version)
    read_catalogue(tmp_path, version)


def test_what_stays_the_same_is_neither_written_nor_mapped_again(tmp_path):
    """A push that changes one feature costs that feature's part, in the folder and in every reader."""
    reader = CatalogueReader(tmp_path)
    before = reader.read(publish(tmp_path))
    written = set(files_of(tmp_path, before.version)[1:])
    year = Column("number", "item_profile", np.array([1990.0, 2000.0], np.float32))
    after = reader.read(publish(tmp_path, columns=COLUMNS | {"year": year}))
    assert len(set((tmp_path / "parts").iterdir()) - written) == 1
    assert after.columns["genres"].values is before.columns["genres"].values
    assert after.ids.blob is before.ids.blob
    assert {name for name, digest in after.parts.items() if before.parts[name] != digest} == {"column:year"}


def test_nulls_are_apart_from_zeros(tmp_path):
    """Why a cell has no value is kept only where there is such a cell."""
    absent = np.array([1, 0], np.uint8)
    count = Column("number", "v", np.array([0, 0]), absent=absent)
    whole = Column("number", "v", np.array([0, 0]), absent=np.zeros(2, np.uint8))
    read = read_catalogue(tmp_path, publish(tmp_path, columns={"count": count, "whole": whole})).columns
    assert read["count"].absent.tolist() == [1, 0]
    assert read["whole"].absent is None
    assert [read["count"].text(row) for row in (0, 1)] == ["", "0"]


def test_lists_of_numbers_read_back(tmp_path):
    """Of any length, also none."""
    column = Column("numbers", "v", np.array([0.5, -1.0], np.float32), offsets=np.array([0, 2, 2]))
    read = read_catalogue(tmp_path, publish(tmp_path, columns={"vector": column})).columns["vector"]
    assert (read.values.tolist(), read.offsets.tolist(), read.text(0), read.text(1)) == ([0.5, -1.0], [0, 2, 2], "0.5|-1.0", "")


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
    """The folder keeps the version in force and those just before it, and all of their parts."""
    versions = []
    for number in range(KEPT_VERSIONS + 2):
        versions.append(publish(tmp_path, ids=("i1", f"i{number}")))
        os.utime(catalogue_path(tmp_path, versions[-1]), (number, number))
        for part in (tmp_path / "parts").iterdir():
            os.utime(part, (number, number))
    kept = {path.stem for path in tmp_path.glob("*.json")} - {"current"}
    assert kept == set(versions[-KEPT_VERSIONS:])
    for version in kept:
        read_catalogue(tmp_path, version)
    ids_of_each = KEPT_VERSIONS
    shared = len(COLUMNS) + 1
    assert len(list((tmp_path / "parts").iterdir())) == ids_of_each + shared
