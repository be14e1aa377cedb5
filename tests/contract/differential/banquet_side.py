"""Everything of Banquet that reads a project's online store, as one process has it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from banquet.core.errors import StageFailed
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_store import open_items
from banquet.features.online.reader import OnlineReader
from banquet.features.project.definitions import read_definitions
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.layout import read_layout, registry_token
from banquet.features.project.repo import FeatureRepo
from banquet.features.stores.generic import FeastCells
from banquet.features.users.opening import open_cells, open_user_reader
from banquet.wire.catalogue_file import read_catalogue, read_pointer
from tests.contract.differential.catalogue_check import check_catalogue
from tests.contract.differential.readers_check import check_answer, check_users

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.project.layout import Layout
    from banquet.wire.catalogue_file import CatalogueFile
    from tests.contract.differential.project import Project
    from tests.contract.differential.scenarios import Question

PATIENCE_S = 30.0


class BanquetSide:
    """The user reader, the general readers and the catalogue builder."""

    def __init__(self, folder: Path) -> None:
        self._repo = FeatureRepo.open(folder)
        self._folder = folder / "catalogue"
        self._items = open_items(self._repo)
        self._builder = CatalogueBuilder(self._items, self._folder)
        self._cells = open_cells(self._repo)
        self._users = open_user_reader(self._repo, self._folder)
        self._registry = ""
        self._through_feast: FeastCells | None = None

    async def check(self, project: Project, question: Question) -> None:
        """All of them against the SDK."""
        absent = self._cells.absent_is_present
        await self._follow()
        definitions = read_definitions(self._folder)
        told = project.told(question)
        assert self._through_feast is not None
        for cells in (self._cells, self._through_feast):
            await check_answer(told, OnlineReader(definitions, cells), question)
        layout = read_layout(self._folder)
        await check_users(project, layout, self._users, tells_absence=not absent)
        check_catalogue(project, layout, self._refreshed(layout), tells_absence=not absent)

    async def aclose(self) -> None:
        if self._through_feast is not None:
            await self._through_feast.aclose()
        await self._users.aclose()
        await self._cells.aclose()
        self._items.close()

    async def _follow(self) -> None:
        """What the layout's keeper does when the registry changed; Feast's own look at it comes too late for us."""
        token = registry_token(self._repo.registry_file)
        if token != self._registry:
            self._registry = token
            publish_layout(self._repo, self._folder)
            if self._through_feast is not None:
                await self._through_feast.aclose()
            self._through_feast = FeastCells(self._repo)

    def _refreshed(self, layout: Layout) -> CatalogueFile | None:
        """The catalogue once it says that it is of now, by what the builder noticed itself; None while there are no items."""
        asked_s = time.time()
        while True:
            try:
                self._builder.refresh(layout)
            except StageFailed:
                return None
            pointer = read_pointer(self._folder)
            if pointer is not None and pointer.confirmed_at_s >= asked_s:
                return read_catalogue(self._folder, pointer.version)
            assert time.time() < asked_s + PATIENCE_S, "the builder does not catch up"
            time.sleep(0.001)
