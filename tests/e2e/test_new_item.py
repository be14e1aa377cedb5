"""An item that nobody had when the release was trained."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pyarrow.parquet as pq
from banquet_client import BanquetClient
from feast import FeatureStore

from banquet.wire.changed_items import ChangedItems
from tests.e2e.conftest import Served
from tests.e2e.test_serving import known_users

BAR_S = 2.0
PATIENCE_S = 30.0
# More than there are items: whatever the models find is in the answer.
EVERYTHING = 500


def test_an_item_pushed_now_is_recommended_soon(served: Served, client: BanquetClient) -> None:
    """Feast's own write, told to Banquet: the models find the item, and rank it, without a new release."""
    user = known_users(served)[2]
    store = FeatureStore(repo_path=str(served.folder / "feature_repo"))
    like = pq.read_table(served.folder / "var/data/items.parquet").slice(0, 1).to_pandas()
    release = client.recommend(user, placement="home", limit=1).release
    took_s = []
    for number in range(2):
        item_id = f"never-seen-{number}"
        now = datetime.now(UTC)
        columns = [field.name for field in store.get_feature_view("item_profile").schema]
        frame = like[[name for name in like.columns if name in columns]].assign(
            item_id=item_id, event_timestamp=now, created=now, available=True
        )
        store.write_to_online_store("item_profile", frame)
        ChangedItems(served.folder / "var/catalogue").add([item_id], commits=1)
        began_s = time.monotonic()
        found = None
        while found is None:
            assert time.monotonic() - began_s < PATIENCE_S
            answer = client.recommend(user, placement="home", limit=EVERYTHING)
            found = next((item for item in answer.items if (item.item_id, item.source) == (item_id, "cascade")), None)
        took_s.append(time.monotonic() - began_s)
        assert answer.release == release
    assert min(took_s) < BAR_S, took_s
