"""A small world in which only what was shown and taken tells what people like: their favourite colour."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from banquet.core.catalogue import Catalogue
from banquet.core.pipeline import Pipeline
from banquet.core.query import UserFeatures
from banquet.core.stages import Answer
from banquet.feedback.event_log import FileEventLog
from banquet.feedback.events import Event
from banquet.stages.selectors.explore import Explore
from banquet.stages.selectors.top_k import TopK
from banquet.stages.sinks.served_log import ServedLog
from banquet.stages.sources.popular import Popular
from banquet.training.datasets.dataset import Dataset, assemble
from banquet.wire.catalogue_file import CatalogueFile, Column, Strings
from tests.fakes import FakeUsers, make_query

COLOURS = ("red", "green", "blue", "grey")
USERS, ITEMS, ROUNDS, SHOWN = 150, 60, 8, 12
# Taken by whom it suits, by whom not, and how much less with every place.
SUITS, OTHER, TIRED = 0.5, 0.03, 0.1


@dataclass(frozen=True)
class Planted:
    """Where the served log and the event log are, and what was there before."""

    served: Path
    events: Path
    base: Dataset
    answers: list[Answer]
    clicks: int


def base_dataset(rng: np.random.Generator) -> Dataset:
    """Interactions that have nothing to do with anybody's favourite colour."""
    chances = 1.0 / np.arange(1, ITEMS + 1)
    start = datetime.now(UTC) - timedelta(days=30)
    rows = [
        {"user_id": f"u{user}", "item_id": f"i{item}", "event_type": "click", "event_time": start + timedelta(seconds=int(at))}
        for user in range(USERS)
        for item, at in zip(
            rng.choice(ITEMS, 6, replace=False, p=chances / chances.sum()), np.sort(rng.integers(0, 10**6, 6)), strict=True
        )
    ]
    users = pa.table({"user_id": [f"u{k}" for k in range(USERS)], "favourite": [COLOURS[k % 4] for k in range(USERS)]})
    items = pa.table({"item_id": [f"i{k}" for k in range(ITEMS)], "colour": [COLOURS[(k // 3) % 4] for k in range(ITEMS)]})
    interactions = pa.Table.from_pylist(rows).cast(
        pa.schema(
            {
                "user_id": pa.string(),
                "item_id": pa.string(),
                "event_type": pa.string(),
                "event_time": pa.timestamp("us", "UTC"),
            }
        )
    )
    return assemble("planted", interactions, users, items)


async def serve_planted(folder: Path, seed: int = 1) -> Planted:
    """Everybody is shown popular items in a real pipeline, some places left to chance, and takes what has their colour."""
    rng = np.random.default_rng(seed)
    base = base_dataset(rng)
    counts = np.bincount([int(item[1:]) for item in base.interactions["item_id"].to_pylist()], minlength=ITEMS)
    ids = base.items["item_id"].to_pylist()
    columns = {"interaction_count": Column("number", "item_activity", counts)}
    catalogue = Catalogue(CatalogueFile("0123456789abcdef", Strings.of(ids), columns, {}, {}), time.time())
    history = {f"u{user}": [] for user in range(USERS)}
    users = FakeUsers()
    served, events = ServedLog(folder / "served"), FileEventLog(folder / "events")
    pipeline = Pipeline("home", users, [Popular(ITEMS)], None, [], None, Explore(TopK(), 0.6, ITEMS, rng), [served])
    answers, clicks = [], 0
    for turn in range(ROUNDS):
        for user in range(USERS):
            name = f"u{user}"
            features = {"favourite": COLOURS[user % 4], "interaction_count": 6 + len(history[name])}
            users.known[name] = UserFeatures(name, features, tuple(reversed(history[name])), found=True)
            query = make_query(catalogue, user_id=name, request_id=f"r{turn}-{user}", limit=SHOWN)
            answer = await pipeline.run(query)
            pipeline.tell(answer)
            answers.append(answer)
            recorded = []
            for position, row in enumerate(answer.picks.rows.tolist()):
                likes = (row // 3) % 4 == user % 4
                if rng.random() < (SUITS if likes else OTHER) / (1 + TIRED * position):
                    now_us = time.time_ns() // 1000
                    event_id = f"{turn}-{user}-{row}"
                    recorded.append(Event(event_id, "click", name, ids[row], now_us, f"r{turn}-{user}", position))
                    history[name].append(ids[row])
            if recorded:
                await events.append(recorded)
            clicks += len(recorded)
    served.close()
    await events.close()
    return Planted(folder / "served", folder / "events", base, answers, clicks)
