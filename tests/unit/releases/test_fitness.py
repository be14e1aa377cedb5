"""What is found out of a release before any server is asked."""

from __future__ import annotations

import shutil

import pytest

from banquet.core.errors import BadRelease
from banquet.releases import registry, rollout_file
from banquet.releases.archive import build
from banquet.releases.fitness import build_hint, check_files, check_schema
from banquet.wire.catalogue_file import read_catalogue
from tests.release_factory import make_catalogue, make_release


@pytest.fixture
def store(release, tmp_path):
    build(release, tmp_path / "store")
    return tmp_path / "store"


def test_a_whole_release_is_fit(release, store):
    """Every byte is as it was sealed and built."""
    assert check_files(release, store).version == release.name


def test_a_missing_archive_is_named_with_the_command_that_makes_it(release, store):
    """One is as bad as all."""
    (store / f"ranking-{release.name}.mar").unlink()
    with pytest.raises(BadRelease, match=rf"ranking-{release.name}\.mar.*release build --release {release.name}"):
        check_files(release, store)


def test_a_changed_byte_is_found(release, store):
    """In an archive and in the release."""
    path = store / f"cascade-{release.name}.mar"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(BadRelease, match=path.name):
        check_files(release, store)
    (release / "graphs" / "ranker.onnx").write_bytes(b"other")
    with pytest.raises(BadRelease, match=r"ranker\.onnx"):
        check_files(release, store)


def test_an_archive_under_anothers_name_is_found(release, store):
    """It would answer for the wrong model."""
    shutil.copy(store / f"cascade-{release.name}.mar", store / f"ranking-{release.name}.mar")
    with pytest.raises(BadRelease, match="holds cascade"):
        check_files(release, store)


def test_a_schema_that_does_not_fit_is_named_by_its_feature(release, tmp_path):
    """With the catalogue it was held against."""
    version = make_catalogue(tmp_path / "catalogue")
    columns = dict(read_catalogue(tmp_path / "catalogue", version).columns)
    check_schema(release, columns, version)
    del columns["year"]
    with pytest.raises(BadRelease, match=rf"does not fit catalogue {version}: feature 'year'"):
        check_schema(release, columns, version)


def test_a_release_without_archives_is_named_with_the_command_that_makes_them(release, tmp_path):
    """As after `banquet train`; one archive that is missing is as bad as all."""
    store = tmp_path / "store"
    hint = build_hint(release.parent, store)
    assert f"banquet release build --release {release.name}" in hint
    assert "canary" not in hint
    build(release, store)
    assert build_hint(release.parent, store) == ""
    (store / f"ranking-{release.name}.mar").unlink()
    assert release.name in build_hint(release.parent, store)


def test_a_newer_release_than_the_stable_one_is_named_with_what_comes_next(release, tmp_path):
    """Training went on while another release served: it has to be built and tried."""
    make_release(release.parent, seed=1)
    stable, newest = registry.versions(release.parent)
    rollout_file.change(release.parent, "train", stable, lambda state: state.put_in_force(stable))
    build(release.parent / stable, tmp_path / "store")
    hint = build_hint(release.parent, tmp_path / "store")
    assert f"banquet release build --release {newest}, then banquet release canary {newest}" in hint
    assert stable in hint


def test_older_releases_may_have_lost_their_archives(release, tmp_path):
    """They take room, and nobody wants to serve them."""
    make_release(release.parent, seed=1)
    build(release.parent / registry.versions(release.parent)[-1], tmp_path / "store")
    assert build_hint(release.parent, tmp_path / "store") == ""


def test_without_releases_there_is_nothing_to_build(tmp_path):
    """Another message says to train."""
    assert build_hint(tmp_path / "none", tmp_path / "store") == ""
