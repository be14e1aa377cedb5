from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from banquet.wire.tensors import pack, unpack
from handlers.cascade import CascadeHandler
from handlers.ranking import RankingHandler
from handlers.retrieval import RetrievalHandler
from tests.release_factory import make_catalogue, make_release

if TYPE_CHECKING:
    from pathlib import Path

ITEMS = 60
NEW_ITEMS = 5
UNAVAILABLE = (3, 40, 61)
HANDLERS = {"retrieval": RetrievalHandler, "ranking": RankingHandler, "cascade": CascadeHandler}


class Served:
    """A handler as a worker runs it, called with arrays instead of bytes."""

    def __init__(self, handler, catalogue: str) -> None:
        self.handler = handler
        self.catalogue = catalogue

    @property
    def catalogues(self):
        return self.handler._worker.catalogues

    def __call__(self, arrays, catalogue=None):
        """Arrays and metadata of the answer to one job."""
        payload = bytearray(pack(arrays, {"catalogue": catalogue or self.catalogue}))
        (answer,) = self.handler.handle([{"job": payload}], None)
        return unpack(answer)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory) -> Path:
    """A folder with a release in it, as a handler finds it in its archive."""
    folder = tmp_path_factory.mktemp("model_dir")
    (folder / "release").symlink_to(make_release(folder / "releases", items=ITEMS))
    return folder


@pytest.fixture
def catalogue_dir(tmp_path) -> Path:
    return tmp_path / "catalogue"


@pytest.fixture
def catalogue(catalogue_dir) -> str:
    """A catalogue of trained items, new items and some that are not available."""
    return make_catalogue(catalogue_dir, items=ITEMS, new_items=NEW_ITEMS, unavailable=UNAVAILABLE)


@pytest.fixture
def serve(model_dir, catalogue_dir, monkeypatch):
    """serve("retrieval", BANQUET_BACKEND="eager") -> a handler at work, ended with the test."""
    started = []

    def start(model: str, catalogue: str = "", folder: Path = model_dir, **environment: str) -> Served:
        for name, value in {"BANQUET_CATALOGUE_DIR": str(catalogue_dir), **environment}.items():
            monkeypatch.setenv(name, value)
        handler = HANDLERS[model]()
        handler.initialize(SimpleNamespace(system_properties={"model_dir": str(folder)}))
        started.append(handler)
        return Served(handler, catalogue)

    yield start
    for handler in started:
        handler._worker.catalogues.stop()
