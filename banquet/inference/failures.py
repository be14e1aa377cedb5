"""What TorchServe's errors mean. It tells them apart by text alone (source: notes of its 0.12.0 sources and trials)."""

from __future__ import annotations

from banquet.core.errors import StageFailed

UNAVAILABLE = "unavailable"
TIMEOUT = "timeout"
OVERLOADED = "overloaded"
MODEL_ERROR = "model_error"

# A worker that is gone or a model not (yet) there: asking again later may help.
_ABSENT = ("has no worker", "Worker died", "Worker scaled down", "Model not found", "ModelNotFound", "ModelVersionNotFound")
# The worker answered, and the answer is that it could not.
_BROKEN = (
    "Prediction failed",
    "Out of resources",
    "Invalid model predict output",
    "batch response mismatched",
    "Unsupported model",
)
_LOCKED = ("Token Authorization failed", "Token Authentication failed")


def is_locked(text: str) -> bool:
    """Whether TorchServe did not accept our token, as after a restart, when it makes new ones."""
    return any(fragment in text for fragment in _LOCKED)


def failure(text: str, *, otherwise: str = UNAVAILABLE) -> StageFailed:
    """The `StageFailed` for an error text of TorchServe."""
    detail = " ".join(text.split())
    if any(fragment in detail for fragment in _BROKEN):
        return StageFailed(MODEL_ERROR, detail)
    if any(fragment in detail for fragment in _ABSENT):
        return StageFailed(UNAVAILABLE, detail)
    return StageFailed(otherwise, detail)
