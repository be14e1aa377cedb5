"""What was shown, as the ranking model takes it: one slate per answer, with the features its models got."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from banquet.core.errors import BadData
from banquet.training.columns import numbers_of
from banquet.training.served.labels import SECOND_US, micros

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from banquet.training.activity import Log
    from banquet.training.datasets.dataset import Dataset
    from banquet.training.split import Split
    from banquet.wire.schema import FeatureSchema

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

# Further down nobody looks; longer answers are cut.
MOST_SHOWN = 100
NOBODY = -1
_COLUMNS = [
    "request_id",
    "time",
    "user_id",
    "history",
    "user",
    "item_id",
    "position",
    "propensity",
    "impressed",
    "taken",
    "delay_s",
]


@dataclass(frozen=True)
class Slates:
    """S answers with K places each. Items are rows of the dataset, -1 where there is none.

    items int64 [S, K] by position, taken bool [S, K], propensity float32 [S, K], history int64 [S, L] (oldest first, left-padded
    with -1), categories int64 [S, Uc] and numbers float32 [S, Un] of the user, users int64 [S] (-1: not in the dataset),
    times and ends int64 [S] (microseconds: of the answer, of the last item taken from it), moments int64 [S] (how many of the
    dataset's events came before).
    """

    items: Ints
    taken: NDArray[np.bool_]
    propensity: Floats
    history: Ints
    categories: Ints
    numbers: Floats
    users: Ints
    times: Ints
    ends: Ints
    moments: Ints

    def __len__(self) -> int:
        return len(self.items)

    def take(self, which: NDArray[np.bool_] | Ints) -> Slates:
        return Slates(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


def read_slates(file: Path, dataset: Dataset, schema: FeatureSchema) -> Slates | None:
    """Slates of the answers that tell something: in which some items were taken and some were seen and not. None without any.

    Raises `BadData` when the table is no such table.
    """
    try:
        table = pq.read_table(file, columns=_COLUMNS)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file}: no table of what was served ({error}); make one with `banquet dataset build`") from error
    seen = pc.and_(pc.fill_null(table["impressed"], True), pc.less(table["position"], MOST_SHOWN))
    # Taken without a reported impression was seen all the same.
    table = table.filter(pc.or_(seen, table["taken"]))
    table = table.filter(pc.is_in(table["item_id"], dataset.items["item_id"]))
    requests = table["request_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    n_requests = int(requests.max(initial=NOBODY)) + 1
    taken = table["taken"].to_numpy()
    telling = (np.bincount(requests, taken, n_requests) > 0) & (np.bincount(requests, ~taken, n_requests) > 0)
    if not telling.any():
        return None
    kept = np.flatnonzero(telling[requests])
    order = kept[np.lexsort((table["position"].to_numpy()[kept], requests[kept], micros(table["time"])[kept]))]
    return _slates(table.take(order), dataset, schema)


def _slates(table: pa.Table, dataset: Dataset, schema: FeatureSchema) -> Slates:
    """Of rows in the order of time, request and position."""
    change = pc.not_equal(table["request_id"][1:], table["request_id"][:-1]).to_numpy(zero_copy_only=False)
    firsts = np.concatenate([[0], np.flatnonzero(change) + 1])
    slate = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, table.num_rows)))
    place = np.minimum(table["position"].to_numpy(), MOST_SHOWN - 1)
    shape = (len(firsts), int(place.max()) + 1)
    items = np.full(shape, NOBODY)
    items[slate, place] = pc.index_in(table["item_id"], dataset.items["item_id"].combine_chunks()).to_numpy()
    taken, propensity = np.zeros(shape, np.bool_), np.ones(shape, np.float32)
    taken[slate, place] = table["taken"].to_numpy()
    propensity[slate, place] = table["propensity"].to_numpy()
    answers = table.take(firsts)
    times = micros(answers["time"])
    ends = times.copy()
    np.maximum.at(ends, slate, times[slate] + (pc.fill_null(table["delay_s"], 0.0).to_numpy() * SECOND_US).astype(np.int64))
    users = pc.fill_null(pc.index_in(answers["user_id"], dataset.users["user_id"].combine_chunks()), NOBODY).to_numpy()
    categories, numbers = _user_inputs(answers["user"].combine_chunks(), schema)
    history = _histories(answers["history"].combine_chunks(), dataset, schema.history_length)
    moments = np.searchsorted(_event_times(dataset), times)
    return Slates(items, taken, propensity, history, categories, numbers, users.astype(np.int64), times, ends, moments)


def split_slates(slates: Slates, dataset: Dataset, log: Log, split: Split) -> tuple[Slates, Slates, Slates]:
    """Train, valid and test: over before the user's last two interactions, shown between them and the last, shown after both.

    So nobody is judged on what the models learned from; what lies across is left out.
    """
    times = _event_times(dataset)[log.moments]
    last = np.full(log.n_users + 1, np.iinfo(np.int64).max)
    last_but_one = last.copy()
    held = log.user[split.test]
    last_but_one[held], last[held] = times[split.train_end[held] - 1], times[split.valid]
    train = slates.ends <= last_but_one[slates.users]
    valid = (slates.times > last_but_one[slates.users]) & (slates.ends <= last[slates.users])
    return slates.take(train), slates.take(valid), slates.take(slates.times > last[slates.users])


def _event_times(dataset: Dataset) -> Ints:
    """When what `read_log` reads happened, in the order of time."""
    events = dataset.interactions
    return micros(events.filter(pc.not_equal(events["event_type"], "impression"))["event_time"])


def _user_inputs(user: pa.StructArray, schema: FeatureSchema) -> tuple[Ints, Floats]:
    """`FeatureSchema.encode_user` of every row."""
    columns = {field.name: pa.chunked_array([pc.struct_field(user, field.name)]) for field in user.type}
    categories, numbers = [], []
    for feature in schema.user:
        values = columns.get(feature.name, pa.chunked_array([pa.nulls(len(user))]))
        if feature.kind == "category":
            known = {text: code for code, text in enumerate(feature.vocabulary, start=1)}
            categories.append(
                np.array([0 if value is None else known.get(str(value), 0) for value in values.to_pylist()], np.int64)
            )
        elif feature.kind == "number":
            numbers.append(feature.numbers(numbers_of(values)))
    return (
        np.stack(categories, 1) if categories else np.zeros((len(user), 0), np.int64),
        np.stack(numbers, 1) if numbers else np.zeros((len(user), 0), np.float32),
    )


def _histories(lists: pa.ListArray, dataset: Dataset, length: int) -> Ints:
    """Newest first as texts -> oldest first as rows; of the newest different ones, without items that the dataset lacks, as in
    serving.
    """
    texts, owner = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    rows = pc.fill_null(pc.index_in(texts, dataset.items["item_id"].combine_chunks()), NOBODY).to_numpy()
    different = pc.fill_null(texts.dictionary_encode().indices, NOBODY).to_numpy()
    newest = np.sort(np.unique(owner * (len(texts) + 1) + different, return_index=True)[1])
    rows, owner = rows[newest], owner[newest]
    kept = (rows >= 0) & (_nth(owner) < length)
    rows, owner = rows[kept], owner[kept]
    histories = np.full((len(lists), length), NOBODY)
    histories[owner, length - 1 - _nth(owner)] = rows
    return histories


def _nth(owner: Ints) -> Ints:
    """How many before each have the same owner; owners stand together."""
    nth: Ints = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return nth
