"""The payload of a model job: what comes in, checked, and what goes out.

A job holds B queries as stacked arrays; int32 rows of one catalogue version, -1 where padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from banquet.wire.tensors import BadTensors, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]

# gRPC callers name the payload `job`; TorchServe itself calls the body of an HTTP request `body`.
KEYS = ("job", "body")
# Bounds what one payload can make a worker allocate; a gateway's jobs are far below.
MAX_QUERIES = 1024
MAX_CELLS = 2**18


class JobRefused(ValueError):
    """A job cannot be done. `reason` is `stale_catalogue`, `schema_mismatch` or `model_error`; `detail` is for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Input:
    """An array a job must hold, unless it is `optional`: [B, columns]; any number of columns when None, but `at_most` so many."""

    name: str
    dtype: type[np.int32 | np.float32]
    columns: int | None = None
    at_most: int = MAX_CELLS
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """Arrays by input name, all [B, ...], and the catalogue version their rows belong to; optional ones may be missing."""

    catalogue: str
    arrays: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]


def decode(request: Mapping[str, object], inputs: Sequence[Input]) -> Job:
    """Raises `JobRefused` naming the array that is missing, of another type or of another shape."""
    payload = next((request[key] for key in KEYS if key in request), None)
    if not isinstance(payload, (bytes, bytearray)):
        raise JobRefused("model_error", f"the request has no bytes under one of {KEYS}; has: {sorted(map(str, request))}")
    try:
        arrays, metadata = unpack(payload)
    except BadTensors as error:
        raise JobRefused("model_error", str(error)) from error
    if "catalogue" not in metadata:
        raise JobRefused("model_error", "the metadata has no 'catalogue', the version the rows belong to")
    checked = {wanted.name: _checked(arrays, wanted) for wanted in inputs if wanted.name in arrays or not wanted.optional}
    queries = {len(array) for array in checked.values()}
    if len(queries) != 1 or not 0 < max(queries) <= MAX_QUERIES:
        raise JobRefused("model_error", f"arrays hold {sorted(queries)} queries; want one number for all, 1 to {MAX_QUERIES}")
    return Job(metadata["catalogue"], checked)


def encode(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    return pack(arrays, metadata)


def encode_refusal(refused: JobRefused) -> bytes:
    return pack({}, {"error": refused.reason, "detail": refused.detail})


def check_rows(name: str, rows: NDArray[np.int32], items: int) -> None:
    """Raises `JobRefused` when a row lies outside a catalogue of so many items; -1 is padding."""
    if rows.size and not (rows.min() >= -1 and rows.max() < items):
        raise JobRefused(
            "model_error", f"array {name!r} holds rows {rows.min()} to {rows.max()}; the catalogue has {items} items"
        )


def _checked(arrays: Mapping[str, Array], wanted: Input) -> Array:
    array = arrays.get(wanted.name)
    if array is None:
        raise JobRefused("model_error", f"array {wanted.name!r} is missing; has: {sorted(arrays)}")
    columns = range(wanted.at_most + 1) if wanted.columns is None else [wanted.columns]
    shape_fits = array.ndim == 2 and array.shape[1] in columns and array.size <= MAX_CELLS  # noqa: PLR2004 - [B, columns]
    if array.dtype != wanted.dtype or not shape_fits:
        allowed = f"{wanted.dtype.__name__} [B, {columns[-1] if wanted.columns is not None else f'0 to {columns[-1]}'}]"
        raise JobRefused("model_error", f"array {wanted.name!r} is {array.dtype} {list(array.shape)}; want {allowed}")
    return array
