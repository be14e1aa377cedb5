"""The event consumer: `python -m banquet.app.consumer SETTINGS.json`, a child of `banquet up`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from banquet.app.logs import log_to_stderr
from banquet.app.settings import read_settings
from banquet.features.prepare import last_prepared
from banquet.features.repo import FeatureRepo
from banquet.feedback.process import ConsumerSettings
from banquet.feedback.process import main as consume


def main() -> None:
    settings = read_settings(**json.loads(Path(sys.argv[1]).read_text()))
    log_to_stderr(settings.log_level)
    consume(
        ConsumerSettings(
            log_folder=settings.feedback / "log",
            state_path=settings.feedback / "consumer.db",
            repo_path=settings.feature_repo,
            base=_base(settings.feature_repo),
        )
    )


def _base(feature_repo: Path) -> str:
    """What the store was last filled from; when that changes, features start over from the store's rows."""
    prepared = last_prepared(FeatureRepo.open(feature_repo))
    return "" if prepared is None else f"{prepared[0]} {prepared[1].at}"


if __name__ == "__main__":
    main()
