"""Features derived from events equal those computed from all events at once, in whatever order and pieces they come."""

from hypothesis import given
from hypothesis import strategies as st

from banquet.core.declared import HISTORY_LENGTH
from banquet.feedback.derive import Activity, from_row, is_interaction, item_after, to_row, user_after
from banquet.feedback.ports import ActivityRow
from tests.unit.feedback.fakes import START_US, features_of, make_event, random_events, recomputed


@given(st.integers(0, 10_000), st.randoms(use_true_random=False), st.integers(1, 40))
def test_order_and_batches_do_not_matter(seed, chance, batch_size) -> None:
    """User and item features are those of a recomputation, also when more items were visited than a history holds."""
    events = [event for event in random_events(150, seed, users=1) if is_interaction(event)]
    chance.shuffle(events)
    user, items = Activity(), {}
    for start in range(0, len(events), batch_size):
        batch = events[start : start + batch_size]
        user = user_after(user, batch)
        for event in batch:
            items[event.item_id] = item_after(items.get(event.item_id, Activity()), [event])
    assert features_of({"u0": to_row("u0", user)}) == recomputed(events, "user_id")
    assert features_of({item: to_row(item, activity) for item, activity in items.items()}) == recomputed(events, "item_id")


def test_a_repeated_item_moves_to_the_front() -> None:
    """And stands in the history once."""
    user = user_after(Activity(), [make_event(1, item="a"), make_event(2, item="b"), make_event(3, item="a")])
    assert to_row("u1", user).history == ("a", "b")


def test_a_row_of_1970_is_added_to() -> None:
    """A clock of one's own may begin at zero; what came before keeps its order behind the new."""
    row = ActivityRow("u1", 8, 0, None, 0, tuple(f"i{number}" for number in range(8)))
    user = to_row("u1", user_after(from_row(row), [make_event(1, item="new")]))
    assert (user.interaction_count, user.history) == (9, ("new", *row.history))


def test_history_keeps_the_newest() -> None:
    """The oldest items make room."""
    user = user_after(Activity(), [make_event(number) for number in range(HISTORY_LENGTH + 10)])
    assert to_row("u1", user).history == tuple(f"i{number}" for number in reversed(range(10, HISTORY_LENGTH + 10)))


def test_a_late_event_finds_its_place() -> None:
    """It lands between those that happened before and after it."""
    user = user_after(Activity(), [make_event(1), make_event(3)])
    assert to_row("u1", user_after(user, [make_event(2)])).history == ("i3", "i2", "i1")


def test_every_change_makes_the_row_newer() -> None:
    """A store that drops what is not newer still takes a row that only a late event changed."""
    user = user_after(Activity(), [make_event(3)])
    assert user_after(user, [make_event(1)]).time_us == user.time_us + 1


def test_an_impression_is_no_interaction() -> None:
    """What we showed is not what the user did."""
    assert [is_interaction(make_event(1, kind=kind)) for kind in ("impression", "click", "rating", "purchase")] == [0, 1, 1, 1]


def test_only_finite_ratings_are_averaged() -> None:
    """A purchase's amount, a rating without a value and one that is no number leave the mean alone."""
    values = [
        ("rating", 4.0),
        ("rating", 2.0),
        ("purchase", 99.0),
        ("rating", None),
        ("rating", float("nan")),
        ("rating", float("inf")),
    ]
    user = user_after(Activity(), [make_event(k, kind=kind, value=value) for k, (kind, value) in enumerate(values)])
    assert (to_row("u1", user).interaction_count, to_row("u1", user).rating_count, to_row("u1", user).rating_mean) == (6, 2, 3.0)


def test_a_stored_row_is_gone_on_from() -> None:
    """Its history keeps its order behind newer events, and its counters go on."""
    row = ActivityRow("u1", 10, 2, 4.0, START_US, ("a", "b", "a", "c"))
    user = user_after(from_row(row), [make_event(1, item="b", kind="rating", value=1.0), make_event(2, item="new")])
    assert to_row("u1", user) == ActivityRow("u1", 12, 3, 3.0, START_US + 2_000_000, ("new", "b", "a", "c"))


def test_a_row_without_ratings_has_no_mean() -> None:
    """None, not zero: zero would be a rating."""
    assert to_row("u1", user_after(from_row(None), [make_event(1)])).rating_mean is None
