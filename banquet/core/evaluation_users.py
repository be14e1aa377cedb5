"""Evaluation users: made-up users that `banquet evaluate` records events for and asks as, marked by their ids alone.

Their own features are kept up like anybody's. Nothing else learns of them: no counters of items, no windows, neither offline
store nor served log, no comparison of releases, no training. All of them are forgotten at once by `EVERY_EVALUATION_USER`.
"""

from __future__ import annotations

# The lowest of int32, so that the ids are valid keys of type String, Int64 and Int32; 83,649 of them.
LOWEST, HIGHEST = -2_147_483_648, -2_147_400_000
# In the place of a user id in requests to forget.
EVERY_EVALUATION_USER = "evaluation-users"

# What all of their ids begin with.
PREFIX = "-2147"
_LENGTH = len(str(LOWEST))


def evaluation_user(number: int) -> str:
    """The id of an evaluation user, from 0 on. Raises `ValueError` beyond the last one."""
    if not 0 <= number <= HIGHEST - LOWEST:
        raise ValueError(f"there is no evaluation user {number}; allowed: 0 to {HIGHEST - LOWEST}")
    return str(LOWEST + number)


def is_evaluation_user(user_id: str) -> bool:
    """Whether an id is one of theirs, in its only spelling."""
    # The prefix first: this is asked for every event and every answer.
    if not user_id.startswith(PREFIX):
        return False
    digits = user_id[1:]
    return len(user_id) == _LENGTH and digits.isascii() and digits.isdigit() and LOWEST <= int(user_id) <= HIGHEST
