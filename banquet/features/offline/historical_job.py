"""Asks Feast what it would train on, in a process of its own.

`python -m banquet.features.offline.historical_job --repo FOLDER --yaml FILE --catalogue FOLDER --work FOLDER`: for `user`
and `item`, the work folder has `<entity>.parquet` with `id` and `time`; the answer is `<entity>.answer.parquet`, row by row.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from banquet.core.errors import BanquetError
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.repo import FeatureRepo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.features.project.layout import View

_WHOLE_NUMBERS = {"INT32", "INT64", "UNIX_TIMESTAMP"}
_ROW = "asked_row"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m banquet.features.offline.historical_job", description=__doc__)
    for name in ("repo", "yaml", "catalogue", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        repo = FeatureRepo.open(options.repo, options.yaml)
        feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)
        layout = publish_layout(repo, options.catalogue)
        for entity, views in (("user", layout.users), ("item", layout.items)):
            asked = options.work / f"{entity}.parquet"
            if asked.is_file():
                answer = historical(feast, views, pq.read_table(asked))
                pq.write_table(answer, options.work / f"{entity}.answer.parquet")
    except (BanquetError, OSError) as error:
        sys.exit(str(error))


def historical(feast: FeatureStore, views: Sequence[View], asked: pa.Table) -> pa.Table:
    """The features of stored views with one join key, under the names they are served by, for each `id` as of its `time`."""
    found = {}
    for keys in {(view.join_keys, view.key_types) for view in views if not view.computed and len(view.join_keys) == 1}:
        own = [view for view in views if not view.computed and (view.join_keys, view.key_types) == keys]
        (key,), (key_type,) = keys
        ids = asked["id"].to_pylist()
        entities = pd.DataFrame(
            {
                key: [int(one) for one in ids] if key_type in _WHOLE_NUMBERS else ids,
                "event_timestamp": asked["time"].cast(pa.timestamp("ns", "UTC")).to_pandas(),
                _ROW: range(len(ids)),
            }
        )
        features = [f"{view.name}:{feature}" for view in own for feature in view.served]
        frame = feast.get_historical_features(entities, features, full_feature_names=True).to_df().sort_values(_ROW)
        for view in own:
            for feature in view.served:
                found[view.column(feature)] = pa.array(frame[f"{view.name}__{feature}"], from_pandas=True)
    return pa.table(found)


if __name__ == "__main__":
    main()
