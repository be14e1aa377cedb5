"""When a call is tried again."""

import grpc
import pytest
from banquet_client.retries import Attempts, Backoff


class Refused(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


@pytest.mark.parametrize(("failures", "longest_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.5), (30, 0.5)])
def test_pauses_double_up_to_the_longest_and_are_cut_at_random(failures, longest_s):
    """A pause lies between half and all of its step."""
    backoff = Backoff(initial_s=0.1, longest_s=0.5)
    pauses_s = [backoff.pause_s(failures) for _ in range(50)]
    assert longest_s / 2 <= min(pauses_s) < max(pauses_s) <= longest_s


def test_the_tries_are_counted():
    """Three tries are two pauses."""
    attempts = Attempts(Backoff(tries=3), timeout_s=60)
    assert [attempts.pause_s(Refused()) is None for _ in range(3)] == [False, False, True]


def test_a_pause_that_does_not_fit_into_the_deadline_is_not_made():
    """The error comes at once, not after a wait that leads nowhere."""
    assert Attempts(Backoff(initial_s=2, longest_s=2), timeout_s=0.5).pause_s(Refused()) is None


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.UNAVAILABLE])
def test_only_unavailable_is_tried_again(code):
    """Every other status is final."""
    assert Attempts(Backoff(), timeout_s=60).pause_s(Refused(code)) is None
