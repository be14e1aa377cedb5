"""What the models got against real Feast's historical features."""

import json
import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore
from typer.testing import CliRunner

from banquet.app.cli import app
from banquet.app.skew import find_skew
from banquet.core.catalogue import Catalogue
from banquet.core.evaluation_users import evaluation_user
from banquet.core.pipeline import Pipeline
from banquet.features.catalogue.catalogue_builder import CatalogueBuilder
from banquet.features.catalogue.item_store import open_items
from banquet.features.offline.historical_job import historical
from banquet.features.project.layout import read_layout
from banquet.features.users.opening import open_user_reader
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sinks.served_files import served_files
from banquet.stages.sinks.served_log import ServedLog
from banquet.stages.sources.popular import Popular
from banquet.wire.catalogue_file import read_catalogue
from tests.fakes import make_query
from tests.integration.features.world import MADE_AT, copy_of, sqlite_world


async def serve(world, folder) -> None:
    """One answer to everybody, as the gateway gives them: rows from the online store, the catalogue built from it."""
    items = open_items(world.repo)
    built = CatalogueBuilder(items, world.catalogue).build(read_layout(world.catalogue))
    items.close()
    catalogue = Catalogue(read_catalogue(world.catalogue, built.version), time.time())
    users, log = open_user_reader(world.repo, world.catalogue), ServedLog(folder)
    pipeline = Pipeline("home", users, [Popular(10)], None, [], None, TopK(), [log])
    for user in ("ada", "bob", "cleo", "nobody"):
        query = make_query(catalogue, user_id=user, request_id=f"for-{user}-{time.time_ns()}", limit=3)
        pipeline.tell(await pipeline.run(query))
    await users.aclose()
    log.close()


async def test_planted_skew_is_found_and_nothing_else(tmp_path) -> None:
    """A push that reaches the online store alone, as by a broken job, shows as what it is; everything else agrees."""
    world = copy_of(sqlite_world(), tmp_path)
    world.push_user("ada", ["i2", "i1"], datetime.now(UTC), interaction_count=77)
    world.push_item("i1", 500, datetime.now(UTC))
    await serve(world, tmp_path / "served")
    ran = CliRunner().invoke(
        app,
        [
            *("dataset", "skew", "--served", str(tmp_path / "served"), "--repo", str(world.repo.folder)),
            *("--yaml", str(world.repo.yaml), "--catalogue", str(world.catalogue), "--json"),
        ],
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert (told["answers"], told["unread"], told["gone"]) == (4, 1, 0)
    found = {(skew["entity"], skew["feature"]): skew for skew in told["features"]}
    count = found["user", "interaction_count"]
    assert (count["compared"], count["different"], count["only_served"], count["only_historical"]) == (3, 1, 0, 0)
    [example] = count["examples"]
    assert (example["id"], example["served"], example["historical"]) == ("ada", 77, 3)
    assert found["user", "history"]["different"] == 1
    # Ada and Cleo have had it, Bob and a stranger were shown it.
    assert found["item", "interaction_count"]["different"] == 2
    agree = {("user", "age"), ("user", "city"), ("user", "tags"), ("user", "income"), ("item", "price"), ("item", "genres")}
    assert agree < found.keys()
    assert not any(found[key]["different"] + found[key]["only_served"] + found[key]["only_historical"] for key in agree)


def test_views_without_a_row_at_the_time_are_null(tmp_path) -> None:
    """Row by row, though Feast drops an entity whose rows are all too new, and answers once for what is asked twice."""
    world = copy_of(sqlite_world(), tmp_path)
    early, late = MADE_AT - timedelta(hours=1), MADE_AT + timedelta(hours=1)
    asked = [
        ("ada", late),
        ("ada", early),
        ("nobody", late),
        ("ada", late),
        ("cleo", early - timedelta(days=900)),
        ("ada", early),
    ]
    table = pa.table(
        {"id": [user for user, _ in asked], "time": pa.array([time for _, time in asked], pa.timestamp("us", "UTC"))}
    )
    found = historical(
        FeatureStore(repo_path=str(world.repo.folder), fs_yaml_file=world.repo.yaml), read_layout(world.catalogue).users, table
    )
    # The profile is of the moment the dataset was made, the activity of the last interaction before.
    assert found["age"].to_pylist() == [36, None, None, 36, None, None]
    assert found["interaction_count"].to_pylist() == [3, 3, None, 3, None, 3]


async def test_views_in_several_files_are_read_for_whoever_has_no_row(tmp_path) -> None:
    """As the consumer leaves them: Dask cannot sort a part of a table in which nobody has a time."""
    world = copy_of(sqlite_world(), tmp_path)
    folder = world.repo.folder / "data" / "user_activity"
    rows = pq.read_table(folder / "base.parquet")
    for number in range(rows.num_rows):
        pq.write_table(rows.slice(number, 1), folder / f"part-{number}.parquet")
    await serve(world, tmp_path / "served")
    found = find_skew(tmp_path / "served", world.repo, world.catalogue, sample=100)
    assert (found.answers, found.unread) == (4, 1)
    assert {skew.feature for skew in found.features} >= {"interaction_count", "clicks_1h"}


async def test_answers_to_evaluation_users_are_not_compared(tmp_path) -> None:
    """Should some have come into the log from elsewhere."""
    world = copy_of(sqlite_world(), tmp_path)
    await serve(world, tmp_path / "served")
    [file] = served_files(tmp_path / "served")
    answers = pq.read_table(file)
    guests = answers.set_column(answers.column_names.index("user_id"), "user_id", pa.array([evaluation_user(1)] * 4))
    pq.write_table(pa.concat_tables([answers, guests]), file)
    found = find_skew(tmp_path / "served", world.repo, world.catalogue, sample=100)
    assert (found.answers, found.unread) == (4, 1)
