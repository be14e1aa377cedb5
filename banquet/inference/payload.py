"""What goes to a handler and comes back: the same bytes in TorchServe and in process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelRun
from banquet.inference.failures import MODEL_ERROR
from banquet.inference.host import StackedAnswer
from banquet.wire.tensors import BadTensors, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def pack_job(catalogue: str, arrays: Mapping[str, NDArray[Any]]) -> bytes:
    return pack(arrays, {"catalogue": catalogue})


def read_answer(model: str, payload: bytes) -> StackedAnswer:
    """Raises `StageFailed` with the handler's own reason, or `model_error` for what is no answer at all."""
    try:
        outputs, about = unpack(payload)
    except BadTensors as error:
        raise StageFailed(MODEL_ERROR, f"{model} answered with something else than tensors: {error}") from error
    if "error" in about:
        raise StageFailed(about["error"], about.get("detail", ""))
    try:
        ran = {name: about.get(name, "") for name in ("release", "backend", "instead_of", "index")}
        run = ModelRun(**ran, model_ms=float(about.get("model_ms", 0.0)))
    except ValueError as error:
        raise StageFailed(MODEL_ERROR, f"{model} says it took {about['model_ms']!r} ms") from error
    return StackedAnswer(outputs, run)
