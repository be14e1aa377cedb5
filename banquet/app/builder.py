"""The catalogue builder: `python -m banquet.app.builder SETTINGS.json`, a child of `banquet up`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from banquet.app.logs import log_to_stderr
from banquet.app.privacy import pseudonyms_in_force
from banquet.app.settings import read_settings
from banquet.features.catalogue.builder import run_builder
from banquet.features.census import keep_census
from banquet.features.project.repo import FeatureRepo

# A build must not cost a request: whoever answers comes first.
NICENESS = 5


def main() -> None:
    settings = read_settings(**json.loads(Path(sys.argv[1]).read_text()))
    log_to_stderr(settings.log_level, pseudonyms_in_force(settings))
    stop, parent = threading.Event(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    repo = FeatureRepo.open(settings.feature_repo)
    os.nice(NICENESS)
    census = (repo, settings.catalogue, stop, settings.features.census_s)
    threading.Thread(target=keep_census, args=census, name="census", daemon=True).start()
    run_builder(repo, settings.catalogue, stop, settings.features.freshness_s, wanted=lambda: os.getppid() == parent)


if __name__ == "__main__":
    main()
