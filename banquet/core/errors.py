"""What can go wrong, in the words a caller can act on. `api.status` turns each into a gRPC status code, once."""


class BanquetError(Exception):
    """Any failure Banquet foresees; its text names the field or file, the value and the remedy."""


class BadRequest(BanquetError):
    """The caller's request cannot be answered as it stands."""


class UnknownPlacement(BadRequest):
    """No pipeline serves the placement."""


class NotThere(BanquetError):
    """What the request asks about does not exist."""


class Overloaded(BanquetError):
    """More work is queued than can be answered in time."""


class DeadlineUnmeetable(BanquetError):
    """The deadline passed before any answer could be made."""


class StageFailed(BanquetError):
    """A stage could not do its part; the answer goes on without it and says so.

    `reason` is a short snake_case word for metrics and degradations, such as `unavailable` or `missing_column`.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class BadSettings(BanquetError):
    """A settings or configuration file does not hold together (exit code 2)."""


class BadData(BanquetError):
    """Input data is unusable: the text names file, row, column and remedy (exit code 2)."""


class BadRelease(BanquetError):
    """A release or archive is incomplete, changed or does not fit: the text names the file or feature."""


class BadModels(BanquetError):
    """Somebody's own models cannot be served: the text names file, function, module and remedy (exit code 2)."""
