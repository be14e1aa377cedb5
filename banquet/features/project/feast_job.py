"""What only Feast can do, in a process of its own: `feast apply`, materialize, and publishing the layout.

`python -m banquet.features.project.feast_job apply|layout --repo FOLDER --catalogue FOLDER [--yaml FILE]`. One import of
Feast (seconds, 180 MB) serves all steps, and the memory goes with the process.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings
from banquet.core.left_out import left_out
from banquet.features.atomic import write_text
from banquet.features.offline.replace_sqlite import forget_absent, let_readers_in
from banquet.features.problems import note_problem
from banquet.features.project.definitions import DEFINITIONS_FILE
from banquet.features.project.layout import LAYOUT_FILE, registry_token
from banquet.features.project.materializations import write_materializations
from banquet.features.project.repo import FeatureRepo, OtherStore, RedisStore, SqliteStore
from banquet.features.stores.local_times import note_zone

# Feast imports torch where there is one: a second and 180 MB, for training loops that nobody runs here.
with left_out("torch"):
    from feast import FeatureStore
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    from banquet.features.project.registry import definitions_of
    from banquet.features.project.registry_layout import layout_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from banquet.features.project.layout import Layout

LONG_AGO = datetime.fromtimestamp(0, UTC) - timedelta(days=36_500)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m banquet.features.project.feast_job", description=__doc__)
    parser.add_argument("step", choices=["apply", "layout"], help="apply: apply, materialize everything, publish the layout")
    parser.add_argument("--repo", type=Path, required=True, help="the Feast repo's folder")
    parser.add_argument("--yaml", type=Path, help="its feature_store.yaml when that is elsewhere")
    parser.add_argument("--catalogue", type=Path, required=True, help="where to publish the layout")
    options = parser.parse_args(arguments)
    repo = FeatureRepo.open(options.repo, options.yaml)
    catalogue = options.catalogue.absolute()
    try:
        if options.step == "apply":
            note_zone(catalogue)
            apply(repo)
        publish_layout(repo, catalogue)
    except BadSettings as error:
        note_problem(catalogue, "layout", str(error))
        sys.exit(str(error))
    except Exception as error:
        note_problem(catalogue, "layout", f"{type(error).__name__}: {error}")
        raise
    note_problem(catalogue, "layout", "")


def apply(repo: FeatureRepo) -> None:
    """`feast apply`, then make the online store hold what the parquet sources hold, and nothing else."""
    os.chdir(repo.folder)
    sys.path.append(str(repo.folder))
    apply_total(load_repo_config(repo.folder, repo.yaml), repo.folder, skip_source_validation=False)
    feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)
    layout = layout_of(definitions_of(feast), "")
    match repo.store:
        case SqliteStore(file):
            let_readers_in(file)
            feast.materialize(LONG_AGO, datetime.now(UTC))
            forget_absent(file, layout, repo.folder / "data")
        case RedisStore():
            # Before: Redis keeps what is newer, and another dataset may be older.
            for join_keys in {view.join_keys for view in layout.views}:
                feast._get_provider().online_store.delete_entity_values(feast.config, list(join_keys))  # noqa: SLF001 - no public way
            feast.materialize(LONG_AGO, datetime.now(UTC))
        case OtherStore():
            feast.materialize(LONG_AGO, datetime.now(UTC))


def publish_layout(repo: FeatureRepo, folder: Path) -> Layout:
    """Write what the registry says of Banquet's views. Raises `BadSettings` naming a view that is missing or cannot be read."""
    token = registry_token(repo.registry_file)
    feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)
    definitions = definitions_of(feast)
    layout = layout_of(definitions, token)
    folder.mkdir(parents=True, exist_ok=True)
    write_materializations(feast, layout, folder)
    write_text(folder / DEFINITIONS_FILE, definitions.to_json())
    write_text(folder / LAYOUT_FILE, layout.to_json())
    return layout


if __name__ == "__main__":
    main()
