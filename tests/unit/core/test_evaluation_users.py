"""Which ids are evaluation users'."""

import pytest

from banquet.core.evaluation_users import EVERY_EVALUATION_USER, HIGHEST, LOWEST, evaluation_user, is_evaluation_user


def test_their_ids_are_the_lowest_int32() -> None:
    """From the first to the last; nobody beyond."""
    last = HIGHEST - LOWEST
    assert (evaluation_user(0), evaluation_user(last)) == ("-2147483648", "-2147400000")
    assert all(is_evaluation_user(evaluation_user(number)) for number in (0, 1, 1_999, last))
    for number in (-1, last + 1):
        with pytest.raises(ValueError, match="allowed: 0 to 83648"):
            evaluation_user(number)


@pytest.mark.parametrize(
    "user_id",
    [
        "",
        "7",
        "-7",
        "-2147",
        "-2147399999",
        "-2147483649",
        "-02147483648",
        "-21474836480",
        "-2147483648 ",
        "-214748364x",
        "-21474_3648",
        "-21474٣3648",
        "2147483648",
        EVERY_EVALUATION_USER,
    ],
)
def test_others_are_not(user_id: str) -> None:
    """Neighbours in number, and other spellings."""
    assert not is_evaluation_user(user_id)
