"""What is written for TorchServe, before it is started."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from banquet.core.errors import BadSettings
from banquet.inference.configuration import TorchServeSettings, install, name_archives
from banquet.inference.places import free_ports


@pytest.fixture
def settings(tmp_path) -> TorchServeSettings:
    (tmp_path / "störe").mkdir()
    (tmp_path / "störe" / "m-1.mar").touch()
    return TorchServeSettings(run_folder=tmp_path / "run", model_store=tmp_path / "störe", archives={"m": "m-1.mar"})


def properties(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "config.properties").read_text().splitlines())


def test_everything_listens_on_this_machine_alone(settings):
    """Unix sockets in the run folder, and loopback for what cannot be one."""
    installed = install(settings)
    written = properties(settings.run_folder)
    sockets = settings.run_folder / "sockets"
    assert written["inference_address"] == installed.address.inference == f"unix:{sockets}/inference"
    assert written["management_address"] == f"unix:{sockets}/management"
    assert {written[f"grpc_{api}_address"] for api in ("inference", "management")} == {"127.0.0.1"}
    assert written["metrics_address"].startswith("http://127.0.0.1:")


def test_the_model_api_wants_a_key_and_archives_come_from_the_store(settings):
    """Releases come and go by it; keys are asked for, and they outlive the process."""
    install(settings)
    written = properties(settings.run_folder)
    assert written["enable_model_api"] == "true"
    assert "disable_token_authorization" not in written
    assert int(written["token_expiration_min"]) > 365 * 24 * 60
    assert written["load_models"] == "m=m-1.mar"
    assert written["allowed_urls"].endswith("st\\u00f6re/.*")


def test_the_next_start_can_load_something_else(settings):
    """After another release has become the stable one; all else stays."""
    installed = install(settings)
    before = properties(settings.run_folder)
    name_archives(installed, {"m": "m-2.mar", "n": "n-2.mar"})
    assert properties(settings.run_folder) == before | {"load_models": "m=m-2.mar,n=n-2.mar"}


def test_a_missing_archive_is_named(settings):
    """Before anything starts, with what to do."""
    with pytest.raises(BadSettings, match=r"x-2\.mar.*'x'.*release build"):
        install(replace(settings, archives={"x": "x-2.mar"}))


def test_the_environment_of_workers_is_chosen(settings, monkeypatch):
    """They get what handlers need, not what we happen to know."""
    monkeypatch.setenv("BANQUET_REDIS_PASSWORD", "secret")
    monkeypatch.setenv("TS_CONFIG_FILE", "/somewhere/else")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    environment = install(replace(settings, threads=2, worker_environment={"BANQUET_BACKEND": "eager"})).environment
    assert {"BANQUET_REDIS_PASSWORD", "TS_CONFIG_FILE"}.isdisjoint(environment)
    assert environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert environment["BANQUET_BACKEND"] == "eager"
    assert environment["OMP_NUM_THREADS"] == environment["BANQUET_THREADS"] == "2"


def test_sockets_move_when_the_path_is_too_long_for_them(settings, tmp_path):
    """107 bytes is all a unix socket's path may have; the folder stays private and the same for the same run folder."""
    deep = replace(settings, run_folder=tmp_path / ("d" * 60) / ("e" * 60) / "run")
    installed = install(deep)
    try:
        assert len(os.fsencode(installed.sockets)) < 90
        assert installed.sockets.stat().st_mode & 0o777 == 0o700
        assert install(deep).sockets == installed.sockets
    finally:
        installed.sockets.rmdir()


def test_a_folder_of_someone_else_is_refused(settings, tmp_path):
    """A link could lead the keys to where others read them."""
    (tmp_path / "elsewhere").mkdir()
    settings.run_folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadSettings, match="someone else"):
        install(settings)


def test_free_ports_are_different_and_can_be_bound():
    """Nobody listens there."""
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
