"""Seconds as Prometheus sees them."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest

from banquet.stages.sinks.times import BOUNDS_S, Times

# Feast, once imported, has the library keep its numbers in files, by name, for all registries.
NUMBERS = count()


@given(st.lists(st.tuples(st.sampled_from(["home", "detail"]), st.floats(0, 5) | st.sampled_from(BOUNDS_S)), max_size=20))
def test_what_is_exposed_is_what_the_library_would_expose(seen: list[tuple[str, float]]) -> None:
    """Bucket for bucket, also on a bound; the moment of creation is left out."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    name = f"answer_{next(NUMBERS)}_seconds"
    times = Times(name, "Time.", ["placement"], ours)
    histogram = Histogram(name, "Time.", ["placement"], buckets=BOUNDS_S, registry=theirs)
    for placement, seconds in seen:
        times.add((placement,), seconds)
        histogram.labels(placement).observe(seconds)
    lines = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == lines
