"""What is known of the feature plane, view by view: from the store, the registry, the consumer and the running gateways."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from banquet.features.census import take_census
from banquet.features.project.layout import LAYOUT_FILE, read_layout
from banquet.features.project.materializations import read_materializations
from banquet.feedback.lag import consumer_lag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from banquet.features.census import ViewCount
    from banquet.features.project.repo import FeatureRepo
    from banquet.feedback.lag import Lag

DEFAULTS = "banquet_feature_defaults"
PATIENCE_S = 0.5
WITHOUT_PROXIES = build_opener(ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view. `missing`: share of its features without a value. `age_s`: since its newest event; `materialized_s`: since the
    moment up to which it was materialized; `unpushed`: its rows that events changed and the store has yet to get; `defaults`: how
    often the schema's default stood in for a feature of it. None: not known, or never.
    """

    view: str
    entity: str
    rows: int
    missing: float
    age_s: float | None
    materialized_s: float | None
    unpushed: int
    defaults: int | None


def stored_views(repo: FeatureRepo, folder: Path) -> list[ViewCount]:
    """Every stored view, counted now; none before there is a layout. Raises `StageFailed` when the store does not answer."""
    if not (folder / LAYOUT_FILE).exists():
        return []
    return take_census(repo, read_layout(folder))


def view_statuses(
    counts: Sequence[ViewCount], folder: Path, lag: Lag | None, defaults: Mapping[str, int] | None
) -> list[ViewStatus]:
    """The views counted, with what else is known of them; `folder` is the catalogue's."""
    now_s = time.time()
    materialized = read_materializations(folder)
    return [
        ViewStatus(
            view=count.view,
            entity=count.entity,
            rows=count.rows,
            missing=count.missing,
            age_s=max(0.0, now_s - count.newest_s) if count.newest_s else None,
            materialized_s=max(0.0, now_s - materialized[count.view]) if count.view in materialized else None,
            unpushed=0 if lag is None else lag.unpushed.get(count.view, 0),
            defaults=None if defaults is None else defaults.get(count.view, 0),
        )
        for count in counts
    ]


def known_lag(feedback: Path) -> Lag | None:
    """How far the consumer is behind; None while its state cannot be read."""
    try:
        return consumer_lag(feedback / "log", feedback / "consumer.db")
    except (sqlite3.Error, OSError):
        return None


def defaults_used(run: Path) -> Mapping[str, int] | None:
    """Defaults by view, from the metrics of every gateway that a note in the folder tells of; None when none answers."""
    total: Counter[str] | None = None
    for note in run.glob("settings-*.json"):
        told = json.loads(note.read_text())
        for index in range(told["gateways"] if told["metrics_port"] else 0):
            found = _defaults_at(told["metrics_port"] + index)
            if found is not None:
                total = found + (total or Counter())
    return total


def _defaults_at(port: int) -> Counter[str] | None:
    try:
        with WITHOUT_PROXIES.open(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as page:
            families = list(text_string_to_metric_families(page.read().decode()))
    except (URLError, OSError, ValueError):
        return None
    used: Counter[str] = Counter()
    for family in families:
        if family.name == DEFAULTS:
            for one in family.samples:
                used[one.labels["view"]] += round(one.value) if one.name.endswith("_total") else 0
    return used
