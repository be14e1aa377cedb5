"""What the verbs make of the wanted state, from every state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from banquet.core.errors import BadRelease
from banquet.releases.rollout import Candidate, Rollout

NONE = Rollout()
QUIET = Rollout("a", None, "z", 7)
BESIDE = {mode: Rollout("a", Candidate("b", mode, 5.0), "z", 7) for mode in ("loaded", "canary", "shadow", "promote")}
STATES = {"none": NONE, "quiet": QUIET, **BESIDE}
VERBS = {
    "deploy": (lambda state, release: state.deploy(release), Candidate("b", "loaded")),
    "canary": (lambda state, release: state.canary(release, 20), Candidate("b", "canary", 20)),
    "shadow": (lambda state, release: state.shadow(release, 20), Candidate("b", "shadow", 20)),
    "promote": (lambda state, release: state.promote(release), Candidate("b", "promote")),
}


@pytest.mark.parametrize("state", [QUIET, *BESIDE.values()], ids=["quiet", *BESIDE])
@pytest.mark.parametrize("verb", VERBS)
def test_a_release_becomes_the_candidate_or_changes_what_it_is_there_for(state, verb):
    """From no candidate, and from every mode of the same one; the stable release is not touched."""
    do, candidate = VERBS[verb]
    assert do(state, "b") == Rollout("a", candidate, "z", 8)


@pytest.mark.parametrize("verb", VERBS)
def test_there_is_one_candidate_at_most(verb):
    """Another one is refused by the name of the first, and so is the stable release."""
    do, _ = VERBS[verb]
    for state in BESIDE.values():
        with pytest.raises(BadRelease, match="release b is the candidate"):
            do(state, "c")
    with pytest.raises(BadRelease, match="stable one already"):
        do(QUIET, "a")
    with pytest.raises(BadRelease, match="banquet train"):
        do(NONE, "b")


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan")])
def test_a_share_is_above_nothing_and_at_most_everybody(percent):
    """Whatever else is named with what is allowed."""
    for verb in (QUIET.canary, QUIET.shadow):
        with pytest.raises(BadRelease, match="allowed: above 0, at most 100"):
            verb("b", percent)


@pytest.mark.parametrize("state", BESIDE.values(), ids=BESIDE)
def test_a_rollback_drops_the_candidate(state):
    """Whatever it was there for; the stable release serves on."""
    assert state.rollback() == Rollout("a", None, "z", 8)


def test_a_rollback_without_a_candidate_goes_back_to_the_release_before():
    """By the same way as forwards: it is loaded, proven and promoted."""
    assert QUIET.rollback() == Rollout("a", Candidate("z", "promote"), "z", 8)
    assert QUIET.rollback().promoted() == Rollout("z", None, "a", 9)
    for state in (NONE, Rollout("a")):
        with pytest.raises(BadRelease, match="no release before"):
            state.rollback()


def test_what_was_promoted_is_stable():
    """And what was stable is the one before."""
    assert BESIDE["promote"].promoted() == Rollout("b", None, "a", 8)


def test_training_puts_in_force_when_nothing_is_served():
    """At once, and a candidate of old is forgotten; the same release again changes nothing."""
    assert NONE.put_in_force("b") == Rollout("b", None, "", 1)
    assert BESIDE["canary"].put_in_force("b") == Rollout("b", None, "a", 8)
    assert QUIET.put_in_force("a") is QUIET


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_every_state_survives_json(state):
    """Nothing is lost on the way to the file and back."""
    assert Rollout.from_json(state.to_json()) == state


KEYS = st.sampled_from(["format", "stable", "candidate", "previous", "revision"])


@given(st.dictionaries(KEYS, st.sampled_from([None, "", "a", 1, 1.5, [], {}, {"release": "b", "mode": "all", "percent": 1}])))
def test_whatever_else_is_in_the_file_is_refused(body):
    """By an error that the reader of the file expects."""
    try:
        read = Rollout.from_json(body)
    except (ValueError, KeyError, TypeError):
        return
    assert Rollout.from_json(read.to_json()) == read


class Releases(RuleBasedStateMachine):
    """Any verbs in any order, as people, guardrails and the deployer give them."""

    def __init__(self):
        super().__init__()
        self.state = Rollout("a")
        self.served = {"a"}

    def attempt(self, step):
        before = self.state
        try:
            self.state = step()
        except BadRelease:
            assert self.state is before
        else:
            assert self.state.revision == before.revision + 1

    @rule(release=st.sampled_from("abcd"), verb=st.sampled_from(sorted(VERBS)))
    def ask(self, release, verb):
        self.attempt(lambda: VERBS[verb][0](self.state, release))

    @rule()
    def roll_back(self):
        stable = self.state.stable
        self.attempt(self.state.rollback)
        assert self.state.stable == stable

    @precondition(lambda self: self.state.candidate is not None and self.state.candidate.mode == "promote")
    @rule()
    def deployer_promotes(self):
        wanted = self.state.candidate.release
        self.attempt(self.state.promoted)
        assert self.state.stable == wanted
        self.served.add(wanted)

    @invariant()
    def there_is_always_something_to_serve(self):
        assert self.state.stable in self.served
        assert self.state.previous in self.served | {""}
        assert self.state.candidate is None or self.state.candidate.release != self.state.stable


test_any_order_of_verbs_leaves_something_to_serve = Releases.TestCase
