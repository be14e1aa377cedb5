"""Keyed hashes in the place of user ids."""

from banquet.core.pseudonyms import Pseudonyms


def test_a_pseudonym_is_the_same_for_the_same_user_and_key_alone() -> None:
    """Another user or another key gives another one, and none of them shows the id or the key."""
    ours, theirs = Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)
    assert ours.of("zoë") == ours.of("zoë") == Pseudonyms(b"k" * 32).of("zoë")
    assert len({ours.of("zoë"), ours.of("ada"), theirs.of("zoë")}) == 3
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in (ours.of("zoë"), ours.of("")))
    assert "k" * 32 not in repr(ours)
