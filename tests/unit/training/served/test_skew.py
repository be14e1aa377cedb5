"""Which values count as different."""

import pyarrow as pa
import pytest

from banquet.training.served.skew import compare


@pytest.mark.parametrize(
    ("served", "historical", "kind"),
    [
        (1, 1.0, None),
        (0.1, 0.10000000149011612, None),
        (None, float("nan"), None),
        ([], None, None),
        (["a", "b"], ["a", "b"], None),
        ([1.0, None], [1.0, None], None),
        (2**53 + 1, float(2**53), None),  # pandas has made a float of it
        (2**53 + 1, 2**53, "different"),
        (1, 2, "different"),
        (0, 1e-9, "different"),
        ("a", "A", "different"),
        (["a", "b"], ["b", "a"], "different"),
        ("1", 1, "different"),
        (0, None, "only_served"),
        (None, "", "only_historical"),
    ],
)
def test_two_values(served, historical, kind) -> None:
    """Nothing at all, in its three forms, is one value; numbers agree as float32 does."""
    column = pa.array([historical], from_pandas=False)
    [skew] = compare("user", {"f": [served]}, pa.table({"f": column}), [("u", "now", "r")])
    assert (skew.different, skew.only_served, skew.only_historical) == tuple(
        int(kind == name) for name in ("different", "only_served", "only_historical")
    )
    assert [example.served for example in skew.examples] == ([served] if kind else [])


def test_the_worst_feature_comes_first_with_a_few_examples() -> None:
    """Features that one side lacks are not compared."""
    who = [(f"u{k}", "now", f"r{k}") for k in range(9)]
    served = {"good": list(range(9)), "bad": [0] * 9, "ours": [1] * 9}
    found = compare("user", served, pa.table({"good": range(9), "bad": [1] * 9, "theirs": [1] * 9}), who)
    assert [(skew.feature, skew.skewed, len(skew.examples)) for skew in found] == [("bad", 9, 3), ("good", 0, 0)]
