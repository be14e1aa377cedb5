"""The views that people copy into a repo of their own, as docs/features.md tells it."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from banquet.core.ids import KeyTypes
from banquet.features.project.feast_job import publish_layout
from banquet.features.project.repo import FeatureRepo
from banquet.feedback.feast_push import FeastActivity
from tests.integration.feedback.conftest import SETTINGS

PROJECT = Path(__file__).parents[3]
SHOP = """
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64, tags={"banquet": "user"})
product = Entity(name="product", join_keys=["product_id"], value_type=ValueType.STRING, tags={"banquet": "item"})


def view(name, entity, field):
    source = FileSource(path=f"data/{name}.parquet", timestamp_field="event_timestamp", created_timestamp_column="created")
    return FeatureView(name=name, entities=[entity], schema=[Field(name=field, dtype=String)], source=source)


customers, products = view("customers", customer, "zip"), view("products", product, "brand")
"""
IMPORT, OWN = "from entities import item, user", "from shop import customer as user, product as item"


def feast(repo: Path, *words: str) -> None:
    code = f"from feast.cli.cli import cli; cli({list(words)!r}, standalone_mode=False)"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_repo_of_ones_own_begins_with_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Word by word: copy the file, import the entities, apply, fill, materialize; text codes stay as they are."""
    monkeypatch.chdir(tmp_path)
    repo = tmp_path / "my_repo"
    (repo / "data").mkdir(parents=True)
    (repo / "feature_store.yaml").write_text(SETTINGS.format(online_store="{type: sqlite, path: data/online.db}"))
    (repo / "shop.py").write_text(SHOP)
    stamps = {"event_timestamp": datetime.now(UTC) - timedelta(hours=1), "created": datetime.now(UTC)}
    customers = pd.DataFrame({"customer_id": [7, 8], "zip": ["02345", "10115"], "history": [["p2", "p1"], []], **stamps})
    customers.to_parquet(repo / "data/customers.parquet")
    pd.DataFrame({"product_id": ["p1", "p2"], "brand": ["007", "7"], **stamps}).to_parquet(repo / "data/products.parquet")
    pd.DataFrame({"product_id": ["p1", "p2", "p2"]}).to_csv("events.csv")
    copied = (PROJECT / "feature_repo/event_views.py").read_text()
    assert IMPORT in copied
    docs = (PROJECT / "docs/features.md").read_text()
    assert OWN in docs
    (repo / "event_views.py").write_text(copied.replace(IMPORT, OWN))
    feast(repo, "apply")
    [begin] = re.findall(r"```python\n(import pandas as pd\n.*?)```", docs, re.DOTALL)
    exec(begin, {})
    feast(repo, "materialize-incremental", datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00"))
    store = FeastActivity(repo)
    assert store.keys == KeyTypes("INT64", "STRING")
    assert "no views" not in caplog.text
    assert {user: (row.history, row.interaction_count) for user, row in store.read_users(["7", "8"]).items()} == {
        "7": (("p2", "p1"), 2),
        "8": ((), 0),
    }
    assert {item: row.interaction_count for item, row in store.read_items(["p1", "p2"]).items()} == {"p1": 1, "p2": 2}
    layout = publish_layout(FeatureRepo.open(repo), tmp_path / "catalogue")
    assert {view.name for view in layout.users} == {"customers", "user_activity", "user_recent"}
    assert {view.name for view in layout.items} == {"products", "item_activity", "item_recent"}
    answer = store.feast.get_online_features(["customers:zip", "products:brand"], [{"customer_id": 7, "product_id": "p1"}])
    assert (answer.to_dict()["zip"], answer.to_dict()["brand"]) == (["02345"], ["007"])


def test_an_entity_without_a_type_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    """The feast command shows it instead of a traceback."""
    (tmp_path / "entities.py").write_text("from feast import Entity\nuser, item = Entity(name='user'), Entity(name='item')\n")
    (tmp_path / "event_views.py").write_text((PROJECT / "feature_repo/event_views.py").read_text())
    done = subprocess.run([sys.executable, "event_views.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("entity 'user' has no value_type; give it that of its ids")
    assert not (tmp_path / "data").exists()
