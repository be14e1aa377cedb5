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
from feast.infra.offline_stores import dask

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
    read_in_one_part()
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


def read_in_one_part() -> None:
    """Let Feast's store of parquet files hold each table in one part of Dask.

    A table in several files has several parts, and Dask cannot sort when one of them has no time at all, as when none of its
    entities had a row: "We suggest you try with `.dropna(subset=['created'])`".
    """
    read = dask._read_datasource  # noqa: SLF001 - Feast has no setting for it
    dask._read_datasource = lambda *arguments: read(*arguments).repartition(npartitions=1)  # noqa: SLF001


def historical(feast: FeatureStore, views: Sequence[View], asked: pa.Table) -> pa.Table:
    """The features of stored views with one join key, under the names they are served by, for each `id` as of its `time`.

    Null where a view had no row then: Feast leaves out an entity whose rows are all too new or too old, with all that other views
    of the same question have of it; so each view is a question of its own.
    """
    pairs = pd.DataFrame({"id": asked["id"].to_pandas(), "time": asked["time"].cast(pa.timestamp("ns", "UTC")).to_pandas()})
    # Feast answers once for what is asked twice.
    row_of_pair = pairs.groupby(["id", "time"], sort=False).ngroup()
    different = pairs[~row_of_pair.duplicated()]
    found = {}
    for view in views:
        if view.computed or not view.served or len(view.join_keys) != 1:
            continue
        whole = view.key_types[0] in _WHOLE_NUMBERS
        ids = different["id"].map(int) if whole else different["id"]
        columns = {view.join_keys[0]: ids.to_list(), "event_timestamp": different["time"], _ROW: range(len(different))}
        features = [f"{view.name}:{feature}" for feature in view.served]
        answer = feast.get_historical_features(pd.DataFrame(columns), features, full_feature_names=True).to_df()
        frame = answer.set_index(_ROW).reindex(row_of_pair)
        for feature in view.served:
            found[view.column(feature)] = pa.array(frame[f"{view.name}__{feature}"], from_pandas=True)
    return pa.table(found)


if __name__ == "__main__":
    main()
