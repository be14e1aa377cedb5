"""What TorchServe's errors mean. It tells them apart by text alone (source: notes of its 0.12.0 sources and trials)."""

from __future__ import annotations

from banquet.core.errors import StageFailed

UNAVAILABLE = "unavailable"
TIMEOUT = "timeout"
OVERLOADED = "overloaded"
MODEL_ERROR = "model_error"
# A model that fails like this may be broken; any other failure is an answer of one that works.
AGAINST_THE_MODEL = frozenset({UNAVAILABLE, TIMEOUT, MODEL_ERROR})

# The model has no worker or its queue is full: TorchServe says the same of both.
_NOT_TAKEN = ("has no worker",)
_ABSENT = ("Model not found", "Model version", "ModelNotFound", "ModelVersionNotFound")
# The worker is gone, and the job with it. It may be what killed the worker.
_LOST = ("Worker died", "Worker scaled down")
# The worker answered, and the answer is that it could not.
_BROKEN = (
    "Prediction failed",
    "Out of resources",
    "Invalid model predict output",
    "batch response mismatched",
    "Unsupported model",
)
_LOCKED = ("Token Authorization failed", "Token Authentication failed")


class NotDone(StageFailed):
    """The host did not take the job, or is gone: another host may do it."""


def is_locked(text: str) -> bool:
    """Whether TorchServe did not accept our token, as after a restart, when it makes new ones."""
    return any(fragment in text for fragment in _LOCKED)


def is_refusal(text: str) -> bool:
    """Whether the model has no worker or no room in its queue."""
    return any(fragment in text for fragment in _NOT_TAKEN)


def failure(text: str, *, otherwise: str = UNAVAILABLE) -> StageFailed:
    """The `StageFailed` for an error text of TorchServe: `NotDone` where another host may help."""
    detail = " ".join(text.split())
    if any(fragment in detail for fragment in _BROKEN):
        return StageFailed(MODEL_ERROR, detail)
    if any(fragment in detail for fragment in _LOST):
        return StageFailed(UNAVAILABLE, detail)
    if is_refusal(detail) or any(fragment in detail for fragment in _ABSENT):
        return NotDone(UNAVAILABLE, detail)
    return NotDone(otherwise, detail) if otherwise == UNAVAILABLE else StageFailed(otherwise, detail)
