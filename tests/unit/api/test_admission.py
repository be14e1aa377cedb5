"""A full house refuses the next one and says how full it is."""

import pytest

from banquet.api.admission import Admission
from banquet.core.errors import Overloaded


def test_more_than_allowed_is_refused_until_someone_leaves() -> None:
    """A place is given back when its call ends."""
    calls = Admission(1, "calls")
    with calls, pytest.raises(Overloaded, match="1 calls are under way, at most 1 may be"):
        calls.__enter__()
    with calls:
        pass


def test_a_call_that_fails_gives_its_place_back() -> None:
    """Otherwise a gateway would fill up with calls that are long over."""
    calls = Admission(1, "calls")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), calls:
            raise ZeroDivisionError
