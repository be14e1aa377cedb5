"""What Feast says its features were at given moments, from a process of its own: importing Feast takes seconds and 180 MB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from banquet.core.errors import BadSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from banquet.features.project.repo import FeatureRepo


def historical_features(repo: FeatureRepo, catalogue: Path, asked: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """For `user` and `item`: features as of the moments asked for (`id` text, `time` timestamp), row by row.

    Columns have the names they are served under. Raises `BadSettings` with Feast's last words.
    """
    with tempfile.TemporaryDirectory(prefix="banquet-historical-") as work:
        for entity, rows in asked.items():
            pq.write_table(rows, Path(work) / f"{entity}.parquet")
        places = {"repo": repo.folder, "yaml": repo.yaml, "catalogue": catalogue.absolute(), "work": work}
        options = [part for name, place in places.items() for part in (f"--{name}", str(place))]
        job = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "banquet.features.offline.historical_job", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=repo.folder,
        )
        if job.returncode:
            words = job.stdout.strip().splitlines()[-1:] or ["no output"]
            raise BadSettings(f"Feast could not get historical features from {repo.folder}: {words[0]}")
        return {entity: pq.read_table(Path(work) / f"{entity}.answer.parquet") for entity in asked}
