"""A plausible clock for data of which only the order is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

STEP_S = 60
LAST_S = 978_307_200  # 2001-01-01 UTC, for a user of whom no last time is known


def times_from_ranks(
    users: pa.ChunkedArray, ranks: pa.ChunkedArray, known_users: pa.ChunkedArray, last_s: pa.ChunkedArray
) -> pa.Array:
    """Unix seconds [E]: event `rank` of a user's n is (n - 1 - rank) minutes before the user's last time."""
    events = users.combine_chunks().dictionary_encode()
    who = np.asarray(events.indices)
    rank = np.asarray(ranks.to_numpy(), np.int64)
    count = np.bincount(who)
    where = np.asarray(pa.compute.index_in(events.dictionary.cast(known_users.type), known_users).fill_null(-1))
    last = np.append(np.asarray(last_s.to_numpy(), np.int64), LAST_S)[where]
    return pa.array(last[who] - (count[who] - 1 - rank) * STEP_S)
