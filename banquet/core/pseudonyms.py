"""Keyed hashes in the place of user ids: the same for the same user, and nobody without the key can tell whose."""

from __future__ import annotations

import hashlib
import hmac

DIGITS = 32


class Pseudonyms:
    """HMAC-SHA256 under a secret key, cut to 128 bits as 32 hex digits."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def of(self, user_id: str) -> str:
        keyed = self._keyed.copy()
        keyed.update(user_id.encode())
        return keyed.hexdigest()[:DIGITS]

    def __repr__(self) -> str:
        """Without the key."""
        return "Pseudonyms()"
