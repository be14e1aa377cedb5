"""Who belongs to a candidate's share, and what deployer and gateways read of each other."""

from __future__ import annotations

import time

import pytest

from banquet.app import serving_file
from banquet.app.serving_file import DeployerReport, GatewayReport, Serving, belongs
from banquet.releases.rollout import Candidate
from banquet.releases.tally import Tally

USERS = [f"u{number}" for number in range(20_000)]
# Of the first hundred at 5 %: another hash would move users about.
PLACED = ["u41", "u45", "u49", "u58", "u84", "u85"]


@pytest.mark.parametrize("percent", [1, 5, 50])
def test_a_share_is_as_large_as_asked(percent):
    """Within what chance allows."""
    share = sum(belongs(user, "rel", percent) for user in USERS) / len(USERS)
    assert share == pytest.approx(percent / 100, abs=0.012)


def test_users_stay_in_a_share_that_grows():
    """Whoever saw the candidate at 5 % sees it at 20 %, in any process."""
    small, large = ({user for user in USERS if belongs(user, "rel", percent)} for percent in (5, 20))
    assert small < large
    assert not belongs("u1", "rel", 0)
    assert all(belongs(user, "rel", 100) for user in USERS)
    assert [user for user in USERS[:100] if belongs(user, "rel", 5)] == PLACED


def test_another_candidate_has_other_users():
    """Nobody is always the one things are tried on."""
    first, second = ({user for user in USERS if belongs(user, release, 10)} for release in ("one", "two"))
    assert len(first & second) / len(first) == pytest.approx(0.1, abs=0.03)


def test_who_is_nobody_gets_the_stable_release():
    """`SimilarItems` may come without a user."""
    assert not belongs("", "rel", 100)


def test_what_is_written_is_read(tmp_path):
    """From the deployer to the gateways and back; nothing and nonsense are nothing."""
    assert serving_file.read_serving(tmp_path) is None
    assert serving_file.read_deployer(tmp_path) is None
    serving = Serving(3, "a", Candidate("b", "canary", 5.0), ("a", "b"), 2)
    serving_file.write_serving(tmp_path, serving)
    assert serving_file.read_serving(tmp_path) == serving
    report = GatewayReport(time.time(), 3, 2, ("a", "b"), {"c": "why"}, {"a": Tally(5)})
    serving_file.write_gateway(tmp_path, "0", report)
    (tmp_path / "gateway-1.json").write_text("[]")
    assert serving_file.read_gateways(tmp_path) == [report]
    serving_file.write_deployer(tmp_path, DeployerReport(1.0, 4, "loading"))
    assert serving_file.read_deployer(tmp_path) == DeployerReport(1.0, 4, "loading")


def test_a_gateway_that_is_gone_is_not_waited_for(tmp_path):
    """Its last report stays behind."""
    serving_file.write_gateway(tmp_path, "0", GatewayReport(time.time() - serving_file.GONE_S - 1, 3, 2, ("a",)))
    assert serving_file.read_gateways(tmp_path) == []


def test_tallies_of_another_phase_are_not_compared():
    """They were made with other shares."""
    reports = [GatewayReport(0, 1, phase, ("a",), {}, {"a": Tally(phase)}) for phase in (1, 2)]
    assert [tally.answers for tally in serving_file.tallies_of(reports, "a", 2)] == [2]
    assert serving_file.tallies_of(reports, "b", 2) == []
