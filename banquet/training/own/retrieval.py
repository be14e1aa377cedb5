"""Somebody's retrieval model: trained by them, checked, measured as ours is, exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from banquet.training.course import FinishedRetrieval
from banquet.training.graphs import history_example, item_example
from banquet.training.own.calling import call
from banquet.training.own.model_file import HISTORY_ENCODER, ITEM_ENCODER, RETRIEVAL
from banquet.training.own.part import Part
from banquet.training.own.retrieval_data import retrieval_data
from banquet.training.train_retrieval import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from banquet.training.course import Course
    from banquet.training.own.model_file import ModelFile

# Histories encoded at once.
HISTORIES_AT_ONCE = 2048
# Dimensions of user vectors: [B, d], or [B, M, d].
SHAPES = (2, 3)


def own_retrieval(course: Course, file: ModelFile) -> FinishedRetrieval:
    """What `retrieval(data)` of the file makes. Raises `BadModels`."""
    material = course.material
    course.progress.begin(RETRIEVAL, 1)
    data = retrieval_data(material, course.seed, course.progress)
    made = file.modules(RETRIEVAL, data)
    encoder = Part(file, RETRIEVAL, ITEM_ENCODER, made[ITEM_ENCODER], item_example(material.inputs, course.rng))
    vectors = encoder.lines(data.items)
    example = history_example(encoder.run(encoder.inputs), data.history_length, course.rng)
    history = Part(file, RETRIEVAL, HISTORY_ENCODER, made[HISTORY_ENCODER], example)
    _check_history(history, vectors.shape[1])
    exported = encoder.export(course.folder, material.schema) + history.export(course.folder, material.schema)
    course.progress.advance()
    scorer = Scorer(material.log, material.items, OwnRetrieval(vectors, OwnHistory(history.module)), data.history_length)
    return FinishedRetrieval(scorer, vectors[data.items["index"] > 0].numpy(), exported)


@dataclass(frozen=True)
class OwnRetrieval:
    """Item vectors made once, with the activity of the training part, and somebody's history encoder."""

    vectors: Tensor
    history: OwnHistory

    def items(self, *_: Tensor | None) -> Tensor:
        return self.vectors


class OwnHistory(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, history: Tensor, mask: Tensor) -> Tensor:
        return call(self.module, {"history": history, "mask": mask})

    def states(self, history: Tensor, mask: Tensor) -> Tensor:
        """The user's vector after each place: that of the history up to there, moved to the end."""
        length = history.shape[1]
        places = torch.arange(length)[None, :] + torch.arange(1, length + 1)[:, None] - length
        there = (places >= 0).to(mask.dtype)
        step, parts = max(1, HISTORIES_AT_ONCE // length), []
        for at in range(0, len(history), step):
            before = history[at : at + step, places.clamp(min=0)] * there[..., None]
            shown = mask[at : at + step, places.clamp(min=0)] * there
            users = self(before.flatten(0, 1), shown.flatten(0, 1))
            parts.append(users.reshape(*before.shape[:2], *users.shape[1:]))
        return torch.cat(parts)


def _check_history(history: Part, width: int) -> None:
    inputs = history.inputs
    users = history.run(inputs)
    count = len(inputs["mask"])
    fits = users.ndim in SHAPES and len(users) == count and users.shape[-1] == width
    history.check_shape(
        users, f"({count}, {width}), or ({count}, M, {width}) for M vectors of each user: item_encoder's width", fits=fits
    )
    history.check_finite(users, "for some histories, of which the first is empty")
    for row, kept in enumerate(inputs["mask"].sum(1).to(torch.int64).tolist()):
        if kept:
            alone = {name: values[row : row + 1, -kept:] for name, values in inputs.items()}
            history.check_same(
                history.run(alone),
                users[row : row + 1],
                f"gives a history of {kept} items another vector with padding before it than without",
                "padding is zeros in front, and its length depends on who else asks: use `mask`, or no biases, as in "
                "`nn.GRU(..., bias=False)`",
            )
