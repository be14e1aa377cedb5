"""The catalogue builder's loop."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_store import open_items
from banquet.features.problems import note_problem
from banquet.features.project.layout_keeper import LayoutKeeper
from banquet.features.project.registry_states import RegistryStates

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from banquet.features.project.repo import FeatureRepo

log = logging.getLogger(__name__)

FRESHNESS_S = 1.0
# Looks at the store per freshness bound: the rest of the bound is for reading, publishing and the readers' own looks.
LOOKS = 5


def run_builder(
    repo: FeatureRepo,
    catalogue: Path,
    stop: threading.Event,
    freshness_s: float = FRESHNESS_S,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Keep the catalogue equal to the store until `stop` is set or nobody wants it any more.

    A store or registry that cannot be read is tried again; what was published stays. Raises `BadSettings` at once for a store
    that can never be scanned.
    """
    store, layouts = open_items(repo), LayoutKeeper(repo, catalogue)
    builder = CatalogueBuilder(store, catalogue, RegistryStates(repo.registry_file, repo.project))
    interval_s = freshness_s / LOOKS
    trouble = ""
    note_problem(catalogue, "catalogue", trouble)
    try:
        while not stop.is_set() and wanted():
            began_s = time.monotonic()
            try:
                built = builder.refresh(layouts.current())
            except (StageFailed, BadSettings, OSError) as error:
                if str(error) != trouble:
                    log.warning("the catalogue is not kept up: %s", error)
                    note_problem(catalogue, "catalogue", str(error))
                trouble = str(error)
            else:
                if trouble or built is not None:
                    log.info("the catalogue is up to date: %s", built or "unchanged")
                    note_problem(catalogue, "catalogue", "")
                trouble = ""
            stop.wait(max(interval_s / 10, interval_s - (time.monotonic() - began_s)))
    finally:
        layouts.close()
        store.close()
