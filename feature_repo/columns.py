"""The columns of a view as Feast fields: the parquet files say what there is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Field
from feast.types import Array, Bool, FeastType, Float32, Float64, Int64, String

_DATA = Path(__file__).parent / "data"
_NO_FEATURES = {"user_id", "item_id", "event_timestamp", "created"}
_TYPES: dict[pa.DataType, FeastType] = {
    pa.string(): String,
    pa.int64(): Int64,
    pa.float32(): Float32,
    pa.float64(): Float64,
    pa.bool_(): Bool,
}


def fields_of(view: str) -> list[Field]:
    """One field per feature column of `data/<view>.parquet`, in the file's order."""
    file = _DATA / f"{view}.parquet"
    if not file.is_file():
        # SystemExit: the feast command shows this one line instead of a traceback.
        raise SystemExit(
            f"{file} does not exist. Make a data set (`banquet data synthetic` or `banquet data import`), "
            "then let `banquet features prepare` write the files of this folder."
        )
    return [_field(file, column) for column in pq.read_schema(file) if column.name not in _NO_FEATURES]


def _field(file: Path, column: pa.Field) -> Field:
    listed = pa.types.is_list(column.type)
    kind = _TYPES.get(column.type.value_type if listed else column.type)
    if kind is None:
        known = ", ".join(str(known) for known in _TYPES)
        raise SystemExit(
            f"{file}: column {column.name!r} has type {column.type}; convert it to one of: {known} or a list of them"
        )
    return Field(name=column.name, dtype=Array(kind) if listed else kind)
