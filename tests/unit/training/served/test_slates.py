"""What was shown, as ranking learns from it: the inputs that serving would have made."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from banquet.training.datasets.dataset import Dataset
from banquet.training.served.slates import read_slates
from banquet.wire.schema import Feature, FeatureSchema

SCHEMA = FeatureSchema(
    (
        Feature("plan", "user_profile", "category", ("None", "Pro")),
        Feature("age", "user_profile", "number", mean=30.0, scale=1e-3),
    ),
    (),
    3,
    (),
)


@pytest.mark.parametrize(("plan", "code"), [("None", 1), (None, 0), ("Pro", 2), ("Free", 0)])
@pytest.mark.parametrize(("age", "scaled"), [(31.0, 1000.0), (None, 0.0), (1e300, 0.0)])
def test_inputs_are_those_of_serving(
    handmade: Dataset, tmp_path: Path, plan: str | None, code: int, age: float | None, scaled: float
) -> None:
    """A missing plan is none that is called None, a number beyond float32 is 0, and a history holds different items."""
    answer = {
        "time": datetime(2026, 1, 1, 13, tzinfo=UTC),
        "request_id": "r1",
        "user_id": "ann",
        "user": {"plan": plan, "age": age},
        "history": ["b", "gone", "b", "a", "b", "c", "d"],
        "impressed": None,
        "propensity": 1.0,
        "delay_s": None,
    }
    rows = [{**answer, "item_id": item, "position": place, "taken": item == "e"} for place, item in enumerate("ef")]
    types = {"impressed": pa.bool_(), "delay_s": pa.float64(), "user": pa.struct({"plan": pa.string(), "age": pa.float64()})}
    table = pa.Table.from_pylist(rows)
    for name, kind in types.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    pq.write_table(table, tmp_path / "served.parquet")
    slates = read_slates(tmp_path / "served.parquet", handmade, SCHEMA)
    assert slates is not None
    served = SCHEMA.encode_user(answer["user"])
    assert slates.categories.tolist() == [[code]] == [served.categories.tolist()]
    assert slates.numbers.tolist() == [[pytest.approx(scaled)]] == [pytest.approx(served.numbers.tolist())]
    assert slates.history.tolist() == [[-1, 0, 1]]
