"""The feature plane of a running system, seen from outside."""

import json
import time
import urllib.request

from banquet_client import BanquetClient

from tests.e2e.conftest import Served, banquet
from tests.e2e.test_serving import known_users


def test_status_and_metrics_tell_of_every_view(served: Served, client: BanquetClient) -> None:
    """Rows, age, lag, last materialization, what is missing, and the defaults that running gateways used."""
    for user in known_users(served)[:5]:
        client.recommend(user, placement="home", limit=3)
    done = banquet(served.folder, "features", "status", "--json")
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    views = {view["view"]: view for view in body["views"]}
    assert {"user_profile", "user_activity", "item_profile", "item_activity"} <= set(views)
    assert body["lag"]["unread_bytes"] == 0
    for view in views.values():
        # The windows of the last days may be empty.
        if not view["view"].endswith("_recent"):
            assert view["rows"] > 0
            assert view["age_s"] > 0
        assert view["materialized_s"] > 0
        assert isinstance(view["defaults"], int)
    began_s, page = time.monotonic(), ""
    while "banquet_view_rows{" not in page and time.monotonic() - began_s < 20:
        page = urllib.request.urlopen(f"http://127.0.0.1:{served.metrics_port}/metrics", timeout=2).read().decode()
        time.sleep(0.2)
    for name in ("rows", "age_seconds", "missing_ratio", "materialized_age_seconds", "unpushed_rows"):
        assert f'banquet_view_{name}{{view="user_profile"}}' in page
    assert "banquet_unread_events_bytes" in page
    assert "banquet_feature_defaults_total{" in page
