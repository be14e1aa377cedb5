"""The event consumer: `python -m banquet.app.consumer SETTINGS.json`, a child of `banquet up`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from banquet.app.logs import log_to_stderr
from banquet.app.settings import read_settings
from banquet.feedback.process import ConsumerSettings
from banquet.feedback.process import main as consume


def main() -> None:
    settings = read_settings(**json.loads(Path(sys.argv[1]).read_text()))
    log_to_stderr(settings.log_level)
    consume(ConsumerSettings(settings.feedback / "log", settings.feedback / "consumer.db", settings.feature_repo))


if __name__ == "__main__":
    main()
