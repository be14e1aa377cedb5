"""Whatever a job holds, the worker answers it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banquet.wire.tensors import pack, unpack
from handlers import worker
from tests.release_factory import make_catalogue
from tests.unit.handlers.conftest import ITEMS, NEW_ITEMS
from tests.unit.handlers.reference import job_of, some_queries

N = ITEMS + NEW_ITEMS
GOOD = job_of(some_queries(3, N))
INT, FLOAT = np.int32, np.float32


@pytest.fixture
def cascade(serve, catalogue):
    return serve("cascade", catalogue)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"history": None}, "'history' is missing"),
        ({"history": GOOD["history"].astype(np.int64)}, "'history' is int64 [3, 8]; want int32 [B, 0 to 8]"),
        ({"history": np.full((3, 9), -1, INT)}, "'history' is int32 [3, 9]; want int32 [B, 0 to 8]"),
        ({"history": np.full(3, -1, INT)}, "'history' is int32 [3]"),
        ({"history": np.full((3, 8), N, INT)}, f"'history' holds rows {N} to {N}; the catalogue has {N} items"),
        ({"seen": np.full((3, 8), -2, INT)}, "'seen' holds rows -2 to -2"),
        ({"seen": np.full((2, 8), -1, INT)}, "arrays hold [2, 3] queries"),
        ({"seen": np.full((3, 2**18), -1, INT)}, "'seen' is int32 [3, 262144]"),
        ({"limit": np.ones((3, 2), INT)}, "'limit' is int32 [3, 2]; want int32 [B, 1]"),
        ({"user_categories": np.full((3, 1), 3, INT)}, "'user_categories' holds codes outside 0 to [2]"),
        ({"user_categories": np.full((3, 1), -1, INT)}, "'user_categories' holds codes outside 0 to [2]"),
        ({"user_numbers": np.ones((3, 5), FLOAT)}, "'user_numbers' is float32 [3, 5]; want float32 [B, 2]"),
        ({name: array[:0] for name, array in GOOD.items()}, "arrays hold [0] queries"),
    ],
    ids=str,
)
def test_a_wrong_array_is_named(cascade, change, detail):
    """The answer says which array is wrong, how it is and what it should be."""
    arrays = {name: array for name, array in {**GOOD, **change}.items() if array is not None}
    answered, metadata = cascade(arrays)
    assert answered == {}
    assert metadata["error"] == "model_error"
    assert detail in metadata["detail"]


@pytest.mark.parametrize(
    "request_", [{}, {"body": b""}, {"job": "text"}, {"job": b""}, {"job": b"rubbish" * 9}, {"job": pack(GOOD)}], ids=str
)
def test_a_wrong_payload_is_refused(cascade, request_):
    """A request without a whole payload, or without a catalogue, is answered with an error."""
    (answer,) = cascade.handler.handle([request_], None)
    assert unpack(answer)[1]["error"] == "model_error"


def test_asking_for_too_much_is_refused(cascade, monkeypatch):
    """A limit that would keep the worker busy until TorchServe kills it is named."""
    monkeypatch.setattr(worker, "MAX_CELLS", 3 * 40 - 1)
    _, metadata = cascade({**GOOD, "limit": np.array([[1], [40], [2]], INT)})
    assert metadata["detail"] == "array 'limit' asks for 40 items for 3 queries; in all 119 go"
    _, metadata = cascade({**GOOD, "limit": np.array([[1], [39], [2]], INT)})
    assert "error" not in metadata


def test_one_bad_job_costs_nobody_else_the_answer(cascade, catalogue):
    """Of several jobs in one call each gets its own answer, in order."""
    good = bytearray(pack(GOOD, {"catalogue": catalogue}))
    answers = cascade.handler.handle([{"job": good}, {"job": bytearray(b"?")}, {"job": good}], None)
    assert ["error" in unpack(answer)[1] for answer in answers] == [False, True, False]


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_no_changed_byte_makes_the_handler_raise(cascade, catalogue, position, value):
    """A job with one byte changed is answered, well or with an error."""
    body = bytearray(pack(GOOD, {"catalogue": catalogue}))
    body[position % len(body)] = value
    (answer,) = cascade.handler.handle([{"job": body}], None)
    unpack(answer)


@pytest.mark.parametrize("version", ["0" * 16, "../../../etc/pw", "", "x" * 1000])
def test_an_unknown_catalogue_is_stale(cascade, version):
    """A version that is not there is the gateway's to replace."""
    _, metadata = unpack(cascade.handler.handle([{"job": bytearray(pack(GOOD, {"catalogue": version}))}], None)[0])
    assert metadata["error"] == "stale_catalogue"


def test_a_damaged_catalogue_is_stale_and_named(serve, catalogue, catalogue_dir):
    """A changed byte in a catalogue file never becomes an answer."""
    other = make_catalogue(catalogue_dir, items=ITEMS, seed=9)
    path = catalogue_dir / f"{other}.json"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    _, metadata = serve("retrieval", other)({name: GOOD[name] for name in ("history", "seen", "limit")})
    assert metadata["error"] == "stale_catalogue"
    assert path.name in metadata["detail"]
