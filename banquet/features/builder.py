"""The catalogue builder as a process of its own: `python -m banquet.features.builder --repo FOLDER --catalogue FOLDER`.

Ends on SIGTERM, and when the process that started it has gone.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.catalogue_builder import CatalogueBuilder, open_items
from banquet.features.layout_keeper import LayoutKeeper
from banquet.features.repo import FeatureRepo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

INTERVAL_S = 0.25
# After a build the builder rests this many times as long as it took, so that writers who never stop cost a quarter core.
REST = 3.0


def run_builder(
    repo: FeatureRepo,
    catalogue: Path,
    stop: threading.Event,
    interval_s: float = INTERVAL_S,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Keep the catalogue equal to the store until `stop` is set or nobody wants it any more.

    A store or registry that cannot be read is tried again; what was published stays. Raises `BadSettings` at once for a store
    that can never be scanned.
    """
    store, layouts = open_items(repo), LayoutKeeper(repo, catalogue)
    builder = CatalogueBuilder(store, catalogue)
    trouble = ""
    try:
        while not stop.is_set() and wanted():
            began_s = time.monotonic()
            try:
                built = builder.refresh(layouts.current())
            except (StageFailed, BadSettings, OSError) as error:
                if str(error) != trouble:
                    log.warning("the catalogue is not kept up: %s", error)
                trouble = str(error)
            else:
                if trouble or built is not None:
                    log.info("the catalogue is up to date: %s", built or "unchanged")
                trouble = ""
            stop.wait(max(interval_s, REST * (time.monotonic() - began_s)))
    finally:
        layouts.close()
        store.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m banquet.features.builder", description=__doc__)
    parser.add_argument("--repo", type=Path, required=True, help="the Feast repo's folder")
    parser.add_argument("--yaml", type=Path, help="its feature_store.yaml when that is elsewhere")
    parser.add_argument("--catalogue", type=Path, required=True, help="the folder to publish into")
    parser.add_argument("--interval-s", type=float, default=INTERVAL_S, help="how often to look at the store")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop, parent = threading.Event(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        repo = FeatureRepo.open(options.repo, options.yaml)
        run_builder(repo, options.catalogue, stop, options.interval_s, wanted=lambda: os.getppid() == parent)
    except BadSettings as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
