"""ForgetUser waits while there is time, and says how far it is."""

import time

import pytest

from banquet.api.forgetting import Forgetting
from banquet.core.erasure import ErasedPlace, Erasure
from banquet.core.errors import BadRequest, NotThere
from banquet.core.evaluation_users import EVERY_EVALUATION_USER
from banquet.core.ids import KeyTypes


class Requests:
    """Done some looks after it was asked for."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def request(self, user_id: str) -> Erasure:
        return Erasure("e1", detail="no store")

    def find(self, erasure_id: str) -> Erasure | None:
        if erasure_id != "e1":
            return None
        self.looks -= 1
        return (
            Erasure("e1", done=True, places=(ErasedPlace("events", 2, 0),))
            if self.looks < 0
            else Erasure("e1", detail="no store")
        )


async def test_the_answer_comes_when_it_is_done() -> None:
    """With what was removed where, and what was found afterwards."""
    erasure = await Forgetting(Requests(1)).forget("ada", 5.0)
    assert erasure.done
    assert [(place.place, place.removed, place.left) for place in erasure.places] == [("events", 2, 0)]


async def test_a_caller_out_of_time_gets_the_id_to_ask_again_with() -> None:
    """Before the deadline, with what stands in the way."""
    began_s = time.monotonic()
    forgetting = Forgetting(Requests(100))
    erasure = await forgetting.forget("ada", 0.3)
    assert time.monotonic() - began_s < 0.3
    assert (erasure.erasure_id, erasure.done, erasure.detail) == ("e1", False, "no store")
    assert (await forgetting.find("e1")).erasure_id == "e1"


async def test_nobody_and_nothing_are_refused() -> None:
    """An empty user id, another spelling of a user's id, and an id that was never given."""
    with pytest.raises(BadRequest, match="user_id"):
        await Forgetting(Requests(0)).forget("", None)
    with pytest.raises(BadRequest, match=r"user_id '007' is not how the id is spelled.*write '7'"):
        await Forgetting(Requests(0), lambda: KeyTypes("INT64")).forget("007", None)
    with pytest.raises(NotThere, match="erasure_id 'e2' is not known"):
        await Forgetting(Requests(0)).find("e2")


async def test_all_evaluation_users_can_be_asked_for() -> None:
    """By their common name, which is nobody's id."""
    asked = []

    class Noting(Requests):
        def request(self, user_id: str) -> Erasure:
            asked.append(user_id)
            return super().request(user_id)

    assert (await Forgetting(Noting(0)).forget(EVERY_EVALUATION_USER, 5.0)).done
    assert asked == ["evaluation-users"]
