"""Which hosts run the models, by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from banquet.app.model_hosts import open_model_host
from banquet.app.settings import read_settings
from banquet.core.errors import BadSettings
from banquet.inference.balanced import Balanced
from banquet.inference.client import TorchServeClient

if TYPE_CHECKING:
    from pathlib import Path

TWO = [{"address": "127.0.0.1:7070"}, {"address": "unix:/run/ts", "management": "unix:/run/tsm", "key_file": "/run/keys"}]


async def test_one_torchserve_is_spoken_to_directly_and_several_through_the_balance(tmp_path: Path) -> None:
    """One has nothing to balance."""
    for told, kind in (({"address": "127.0.0.1:7070"}, TorchServeClient), ({"hosts": TWO}, Balanced)):
        host = open_model_host(read_settings(torchserve=told), tmp_path)
        assert isinstance(host, kind)
        await host.close()


async def test_the_workers_of_who_cannot_be_asked_are_believed(tmp_path: Path) -> None:
    """A TorchServe without a management address has as many as the settings say."""
    host = open_model_host(read_settings(torchserve={"address": "127.0.0.1:7070", "workers": 3}), tmp_path)
    assert host.capacity("cascade") == 3
    await host.close()


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"address": "a:1", "hosts": TWO}, "address and hosts are both set"),
        ({"hosts": [{"management": "a:1"}]}, "has no address"),
        ({"hosts": [TWO[0], TWO[0]]}, "twice"),
        ({"servers": 0}, "torchserve.servers"),
    ],
)
def test_hosts_that_cannot_be_meant_are_refused(told: dict[str, object], names: str) -> None:
    """By name."""
    with pytest.raises(BadSettings, match=names):
        read_settings(torchserve=told)


def test_each_torchserve_of_our_own_has_a_folder(tmp_path: Path) -> None:
    """The first one where it always was."""
    settings = read_settings(workspace=tmp_path, torchserve={"servers": 3})
    assert [folder.name for folder in settings.torchserve_folders] == ["torchserve", "torchserve-1", "torchserve-2"]
    assert settings.torchserve_folder == tmp_path / "torchserve"
