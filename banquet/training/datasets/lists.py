"""Columns of lists written as text: joined by a separator, or as JSON or Python lists."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from banquet.training.datasets.converting import converted

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.training.datasets.source import Source

LISTS = pa.list_(pa.string())
WANT = """a list such as ["Drama", "War"]"""


def lists(source: Source, name: str, separator: str) -> pa.ChunkedArray:
    """A column of texts as lists: `Drama|War` -> [Drama, War], or `["Drama", "War"]` where all are written so.

    Blanks around an entry and empty entries are left out; empty text is an empty list.
    """
    texts = source.table[name].cast(pa.string())
    bracketed = pc.match_substring_regex(texts, r"^\s*\[.*\]\s*$")
    if pc.all(pc.or_(bracketed, pc.equal(texts, ""))).as_py() and pc.any(bracketed).as_py():
        return converted(source, name, _parsed, WANT)
    return split(texts, separator)


def split(texts: pa.ChunkedArray, separator: str) -> pa.ChunkedArray:
    """Texts joined by a separator as lists."""
    return _each(texts, lambda text: text.split(separator))


def _parsed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return _each(texts, _entries)


def _entries(text: str) -> list[str]:
    if not text.strip():
        return []
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        try:
            entries = ast.literal_eval(text.strip())  # as Python prints lists
        except (ValueError, SyntaxError, RecursionError) as error:
            raise pa.ArrowInvalid(str(error)) from error
    if not isinstance(entries, list) or not all(isinstance(entry, (str, int)) for entry in entries):
        raise pa.ArrowInvalid("not a list of texts")
    return [str(entry) for entry in entries]


def _each(texts: pa.ChunkedArray, entries_of: Callable[[str], list[str]]) -> pa.ChunkedArray:
    """Each different text once."""
    column = texts.cast(pa.string()).combine_chunks().dictionary_encode()
    made = [[entry.strip() for entry in entries_of(text) if entry.strip()] for text in column.dictionary.to_pylist()]
    return pa.chunked_array([pa.array(made, LISTS).take(column.indices)])
