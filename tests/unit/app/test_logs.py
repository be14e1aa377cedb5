"""Log lines are JSON, and name users by pseudonyms when they are to."""

import json
import logging
from collections.abc import Callable

import pytest

from banquet.app.logs import JsonLines
from banquet.core.errors import StageFailed
from banquet.core.pseudonyms import Pseudonyms

HIDDEN = Pseudonyms(b"0123456789abcdef")
WHO = 'o\'brien "7"'


def line(pseudonyms: Pseudonyms | None, write: Callable[[logging.Logger], None]) -> dict[str, object]:
    """What one call of a logger writes."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonLines(pseudonyms).format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("test")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        write(logger)
    finally:
        logger.removeHandler(handler)
    (text,) = lines
    body: dict[str, object] = json.loads(text)
    return body


def fail(logger: logging.Logger) -> None:
    try:
        {}[WHO]
    except KeyError:
        logger.exception("bug")


def test_a_line_says_when_who_and_what() -> None:
    """And whatever came as extra."""
    body = line(None, lambda logger: logger.info("hello %s", "there", extra={"items": 3, "user_id": "u1"}))
    assert (body["message"], body["logger"], body["level"], body["items"], body["user_id"]) == (
        "hello there",
        "test",
        "INFO",
        3,
        "u1",
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda logger: logger.info("answered", extra={"user_id": WHO}),
        lambda logger: logger.warning("%s", StageFailed("bad_value", f"user {WHO!r}, feature 'age': odd")),
        lambda logger: logger.info("refused: user_id %r is unknown", WHO),
        lambda logger: logger.info("x", extra={"degradations": [f"users: user {WHO!r}"]}),
        fail,
    ],
    ids=["extra", "text", "field", "list", "exception"],
)
def test_with_pseudonyms_no_line_has_the_id(write: Callable[[logging.Logger], None]) -> None:
    """The pseudonym stands in its place."""
    text = json.dumps(line(HIDDEN, write), ensure_ascii=False)
    assert "brien" in json.dumps(line(None, write))
    assert "brien" not in text
    assert HIDDEN.of(WHO) in text


def test_what_is_no_user_stays_readable() -> None:
    """Names of features, files and users of other sorts."""
    body = line(HIDDEN, lambda logger: logger.info("feature 'age' of %s: 3 users", "'x.db'"))
    assert body["message"] == "feature 'age' of 'x.db': 3 users"
