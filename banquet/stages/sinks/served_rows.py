"""Answers as rows of the served log: one row per answer, its candidates best first in a list."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from banquet.core.left_out import left_out

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from banquet.core.candidates import Candidates
    from banquet.core.catalogue import Catalogue
    from banquet.core.stages import Answer

    Types = Mapping[str, pa.DataType]

# A row group holds no more answers than this; `best_first` counts on both.
MOST_ANSWERS = 1 << 12
MOST_CANDIDATES = 1 << 20

_TEXT = pa.string()
_DEGRADATIONS = pa.list_(pa.struct({"stage": _TEXT, "reason": _TEXT}))


class Taken(NamedTuple):
    """An answer and when its query began, in microseconds since 1970 UTC."""

    answer: Answer
    began_us: int


def keep_pandas_out() -> None:
    """Make Arrow's one search for pandas find nothing: at its first value it would load 40 MB, for 0.3 s, that nobody here needs.

    Where pandas was loaded already nothing changes, and `to_pandas` finds it later all the same.
    """
    with left_out("pandas"):
        pa.array([0])


def rows_of(taken: Sequence[Taken], types: Types, name_user: Callable[[str], str] = str) -> pa.Table:
    """Rows of answers from one version of the catalogue. `types` are those of every user feature, as `types_of` gives them;
    `name_user` says under which name a user is written.

    Raises `pa.ArrowException` when a value is of another type.
    """
    answers = [each.answer for each in taken]
    queries = [answer.query for answer in answers]
    columns = {
        "time": pa.array([each.began_us for each in taken], pa.int64()).cast(pa.timestamp("us", "UTC")),
        "request_id": pa.array([query.request_id for query in queries], _TEXT),
        "placement": pa.array([query.placement for query in queries], _TEXT),
        "release": pa.array([answer.release for answer in answers], _TEXT),
        "catalogue": pa.array([query.catalogue.version for query in queries], _TEXT),
        "user_id": pa.array([name_user(query.user_id) for query in queries], _TEXT),
        "user_found": pa.array([query.user.found for query in queries], pa.bool_()),
        "history": pa.array([query.user.history for query in queries], pa.list_(_TEXT)),
        "page_item_id": pa.array([query.item_id or None for query in queries], _TEXT),
        "limit": pa.array([query.limit for query in queries], pa.int32()),
        "candidates": _candidates(answers, queries[0].catalogue),
        "degradations": pa.array([_degradations(answer) for answer in answers], _DEGRADATIONS),
        "elapsed_ms": pa.array([answer.elapsed_ms for answer in answers], pa.float32()),
    }
    features = [pa.array([query.user.values.get(name) for query in queries], kind) for name, kind in types.items()]
    if features:
        columns["user"] = pa.StructArray.from_arrays(features, list(types))
    return pa.table(columns)


def types_of(taken: Sequence[Taken], known: Types) -> dict[str, pa.DataType]:
    """The types of the user features of these answers and of those `known`; null where no answer has a value.

    Raises `pa.ArrowException` when the values of a new feature are of different types.
    """
    values = [each.answer.query.user.values for each in taken]
    # Answers mostly carry the same names: joining hundreds of rows of names would cost more than writing their values.
    names = {*chain.from_iterable({tuple(row) for row in values}), *known}
    return {name: known.get(name) or pa.array([row.get(name) for row in values]).type for name in sorted(names)}


def is_whole(kind: pa.DataType) -> bool:
    """Whether a type says everything: null and lists of null only say that there was no value yet."""
    return not pa.types.is_null(kind.value_type if pa.types.is_list(kind) else kind)


def _degradations(answer: Answer) -> list[dict[str, str]]:
    return [{"stage": lost.stage, "reason": lost.reason} for lost in answer.degradations]


def _candidates(answers: Sequence[Answer], catalogue: Catalogue) -> pa.ListArray:
    """A list of structs per answer, best first. Everything here is done for all answers at once, mostly without the GIL."""
    lists = [answer.candidates for answer in answers]
    bounds = np.concatenate([[0], np.cumsum([len(each) for each in lists])])
    starts, lengths = bounds[:-1], np.diff(bounds)
    positions = np.full(bounds[-1], -1, np.int16)
    for answer, start in zip(answers, starts.tolist(), strict=True):
        positions[answer.selection.picks + start] = np.arange(len(answer.selection.picks))
    chances = (positions >= 0).astype(np.float32)
    for answer, start in zip(answers, starts.tolist(), strict=True):
        if answer.selection.chances is not None:
            chances[start : start + len(answer.candidates)] = answer.selection.chances
    ranking = np.concatenate([each.ranking for each in lists])
    order = best_first(ranking, starts, lengths)
    shown = positions[order]
    columns = {
        "item_id": _item_ids(np.concatenate([each.rows for each in lists])[order], catalogue),
        "source": _sources(lists, lengths, order),
        "score": pa.array(np.concatenate([each.scores for each in lists])[order]),
        "ranking": pa.array(ranking[order]),
        "rank": pa.array((np.arange(len(order)) - np.repeat(starts, lengths)).astype(np.int32)),
        "propensity": pa.array(chances[order]),
        "position": pa.array(shown, mask=shown < 0),
    }
    structs = pa.StructArray.from_arrays(list(columns.values()), list(columns))
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), structs)


def best_first(ranking: NDArray[np.float32], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """`Candidates.in_order` of every list at once: places in the whole, list after list.

    One plain sort of 64-bit keys (list, score, place) is several times as fast as sorting list by list.
    """
    # A float's bits are in the order of the floats once negative ones are turned round. 0 minus it makes -0.0 the same as 0.0.
    bits = np.where(np.isnan(ranking), np.inf, 0.0 - ranking).astype(np.float32).view(np.uint32).astype(np.uint64)
    falling = np.where(bits >> 31, bits ^ 0xFFFF_FFFF, bits | 0x8000_0000)
    base = np.repeat(starts, lengths)
    place = (np.arange(len(ranking)) - base).astype(np.uint64)
    keys = np.repeat(np.arange(len(starts), dtype=np.uint64) << 52, lengths) | falling << 20 | place
    keys.sort()
    order: NDArray[np.int64] = base + (keys & (MOST_CANDIDATES - 1)).astype(np.int64)
    return order


def _item_ids(rows: NDArray[np.int32], catalogue: Catalogue) -> pa.DictionaryArray:
    """Coded among themselves, so that parquet need not look for repetitions of the texts."""
    wanted = np.zeros(len(catalogue), np.bool_)
    wanted[rows] = True
    used = np.flatnonzero(wanted)
    code = np.empty(len(catalogue), np.int32)
    code[used] = np.arange(len(used), dtype=np.int32)
    ids = catalogue.file.ids
    whole = pa.Array.from_buffers(pa.large_string(), len(ids), [None, pa.py_buffer(ids.offsets), pa.py_buffer(ids.blob)])
    return pa.DictionaryArray.from_arrays(pa.array(code[rows]), whole.take(pa.array(used)).cast(_TEXT))


def _sources(lists: Sequence[Candidates], lengths: NDArray[np.int64], order: NDArray[np.int64]) -> pa.DictionaryArray:
    kinds = list(dict.fromkeys(each.source_names for each in lists))
    names = list(dict.fromkeys(chain.from_iterable(kinds)))
    code = np.array([names.index(name) for name in chain.from_iterable(kinds)], np.int8)
    first = dict(zip(kinds, np.cumsum([0] + [len(kind) for kind in kinds[:-1]]).tolist(), strict=True))
    sources = np.concatenate([each.sources for each in lists]) + np.repeat([first[each.source_names] for each in lists], lengths)
    return pa.DictionaryArray.from_arrays(pa.array(code[sources[order]]), pa.array(names, _TEXT))
