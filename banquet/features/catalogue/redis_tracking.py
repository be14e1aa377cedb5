"""Which keys of a Redis server were written, by whomever: its own key tracking, which a stock server (6 or newer) does unaided.

One connection asks for the names of all keys that begin in a certain way (CLIENT TRACKING ... BCAST) and listens. A server
without it, or one that does not allow it, still says whether anything at all was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis import Redis

CHANNEL = b"__redis__:invalidate"
TRACKING = ("CLIENT", "TRACKING")


class Tracking:
    """Tracks from the moment it is made. Raises `RedisError` or `OSError` when the server is gone; make another one then."""

    def __init__(self, client: Redis, prefixes: Sequence[bytes]) -> None:
        self.prefixes = list(prefixes)
        self._client = client
        self._connection: Any = client.connection_pool.make_connection()
        self._counted: object = None
        self._connection.connect()
        try:
            number = self._ask("CLIENT", "ID")
            wanted = [part for prefix in prefixes for part in ("PREFIX", prefix)]
            self._ask(*TRACKING, "ON", "REDIRECT", number, "BCAST", *wanted)
            self._ask("SUBSCRIBE", CHANNEL)
            self.by_key = True
        except ResponseError:
            # Older than 6, or not allowed to.
            self.by_key = False

    def written(self) -> set[bytes] | None:
        """The keys written since this was asked last; None when it cannot be told which."""
        if not self.by_key:
            counted, self._counted = self._counted, self._count()
            return set() if counted == self._counted else None
        keys: set[bytes] = set()
        everything = False
        self._connection.send_command("PING")
        # Messages come in order: after the answer to this PING, all that was written before it is known.
        while (message := self._connection.read_response())[0] != b"pong":
            if message[0] == b"message" and message[1] == CHANNEL:
                everything |= message[2] is None
                keys.update(message[2] or ())
        return None if everything else keys

    def close(self) -> None:
        self._connection.disconnect()

    def _ask(self, *command: object) -> Any:
        self._connection.send_command(*command)
        return self._connection.read_response()

    def _count(self) -> object:
        server, persistence = self._client.info("server"), self._client.info("persistence")
        # Changes are counted from the last save on.
        return server["run_id"], persistence["rdb_last_save_time"], persistence["rdb_changes_since_last_save"]
