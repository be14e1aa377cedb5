"""What became of what was shown: every event finds the answer it belongs to, within the window of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Windows:
    """How long after an answer an event still counts for it, in seconds."""

    click_s: float = 1_800.0
    conversion_s: float = 86_400.0

    @property
    def longest_us(self) -> int:
        return int(max(self.click_s, self.conversion_s) * SECOND_US)

    def of(self, event_types: pa.ChunkedArray) -> Ints:
        """Microseconds for each event: conversions are ratings and purchases."""
        quick = pc.is_in(event_types, pa.array(["click", "impression"])).to_numpy(zero_copy_only=False)
        return (np.where(quick, self.click_s, self.conversion_s) * SECOND_US).astype(np.int64)


def label(shown: pa.Table, events: pa.Table, windows: Windows) -> pa.Table:
    """Labels of each shown row: `impressed`, `clicked`, `rating`, `purchased`, `taken`, `delay_s`.

    An event with the id of a request that showed the item belongs to that answer; any other to the last answer before it that
    showed its user the item. `impressed` is null where nobody reported impressions of the request.
    """
    events = _once(events)
    place = _answers_of(shown, events)
    asked = micros(shown["time"])
    late_us = micros(events["event_time"]) - asked[np.maximum(place, 0)] if shown.num_rows else np.zeros(0, np.int64)
    counts = (place >= 0) & (late_us <= windows.of(events["event_type"]))
    kind = {name: counts & _equal(events["event_type"], name) for name in ("impression", "click", "rating", "purchase")}
    clicked, purchased = (_marked(place[kind[name]], shown.num_rows) for name in ("click", "purchase"))
    rating = np.full(shown.num_rows, np.nan, np.float32)
    rating[place[kind["rating"]]] = events["value"].to_numpy()[kind["rating"]]
    took = counts & ~kind["impression"]
    delay_s = np.full(shown.num_rows, np.inf, np.float32)
    np.minimum.at(delay_s, place[took], np.maximum(late_us[took], 0) / SECOND_US)
    return pa.table(
        {
            "impressed": _impressed(shown, place[kind["impression"]]),
            "clicked": clicked,
            "rating": pa.array(rating, from_pandas=True),
            "purchased": purchased,
            "taken": np.isfinite(delay_s),
            "delay_s": pa.array(delay_s, mask=np.isinf(delay_s)),
        }
    )


def micros(times: pa.ChunkedArray) -> Ints:
    """Microseconds since 1970 UTC."""
    numbers: Ints = times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return numbers


def _once(events: pa.Table) -> pa.Table:
    """The first event of each id, in time order: a log may hold an event twice."""
    events = events.take(pc.sort_indices(events["event_time"]))
    _, first = np.unique(_codes(events["event_id"]), return_index=True)
    return events.take(np.sort(first))


def _answers_of(shown: pa.Table, events: pa.Table) -> Ints:
    """The shown row that each event belongs to, -1 for none."""
    items = _codes(shown["item_id"], events["item_id"])
    n_items = int(items.max(initial=0)) + 1
    by_request = _codes(shown["request_id"], events["request_id"]) * n_items + items
    by_user = _codes(shown["user_id"], events["user_id"]) * n_items + items
    asked, happened = micros(shown["time"]), micros(events["event_time"])
    # Clocks of callers differ: an event that names its request may seem to come before it.
    named = latest(by_request, asked, np.full(len(happened), np.iinfo(np.int64).max))
    named[_equal(events["request_id"], "")] = -1
    return np.where(named >= 0, named, latest(by_user, asked, happened))


def latest(keys: Ints, asked: Ints, happened: Ints) -> Ints:
    """For each event the last shown row of the same key that is not later, -1 for none. `keys`: those of rows, then of events."""
    n_rows = len(asked)
    is_event = np.arange(len(keys)) >= n_rows
    order = np.lexsort((is_event, np.concatenate([asked, happened]), keys))
    last = np.maximum.accumulate(np.where(is_event[order], -1, np.arange(len(keys))))
    row = np.where(last >= 0, order[np.maximum(last, 0)], 0)
    found = (last >= 0) & (keys[row] == keys[order])
    places = np.empty(len(keys), np.int64)
    places[order] = np.where(found, row, -1)
    return places[n_rows:]


def _impressed(shown: pa.Table, places: Ints) -> pa.Array:
    seen = _marked(places, shown.num_rows)
    requests = _codes(shown["request_id"])
    reported = np.zeros(int(requests.max(initial=0)) + 1, np.bool_)
    reported[requests[seen]] = True
    return pa.array(seen, mask=~reported[requests])


def _marked(places: Ints, rows: int) -> NDArray[np.bool_]:
    marks = np.zeros(rows, np.bool_)
    marks[places] = True
    return marks


def _equal(texts: pa.ChunkedArray, text: str) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = pc.equal(pc.fill_null(texts, ""), text).to_numpy(zero_copy_only=False)
    return same


def _codes(*columns: pa.ChunkedArray) -> Ints:
    """Texts as numbers, the same text everywhere the same number."""
    texts = pa.chunked_array([chunk for column in columns for chunk in pc.fill_null(column, "").chunks], pa.string())
    codes: Ints = texts.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes
