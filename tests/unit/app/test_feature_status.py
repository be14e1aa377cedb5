"""What `banquet features status` reads from running gateways."""

import json
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, start_http_server

from banquet.app.feature_status import defaults_used


def test_metrics_of_gateways_are_read_directly(proxy, tmp_path: Path) -> None:
    """They are on loopback, whatever proxies the environment names."""
    registry = CollectorRegistry()
    Counter("banquet_feature_defaults", "Defaults.", ["view", "feature"], registry=registry).labels("user", "age").inc(3)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    note = {"gateways": 1, "metrics_port": server.server_port}
    (tmp_path / "settings-7600.json").write_text(json.dumps(note))
    try:
        assert defaults_used(tmp_path) == {"user": 3}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert proxy.asked == []
