"""How long and how large to train: `quick` for a first look and the demo, `full` for the numbers that count."""

from __future__ import annotations

from dataclasses import dataclass, field

from banquet.core.errors import BadSettings


@dataclass(frozen=True, slots=True)
class RetrievalPreset:
    """How retrieval learns.

    `stride` is how far apart training windows start: at half the history's length every target sees at least half a history.
    Small data get smaller batches, down to `smallest_batch`, and more epochs until they make `fewest_steps`. Above
    `largest_softmax` items, `samples` stand for the catalogue.
    """

    dim: int = 64
    blocks: int = 2
    heads: int = 2
    dropout: float = 0.1
    id_dropout: float = 0.02
    epochs: int = 4
    patience: int = 2
    batch: int = 128
    smallest_batch: int = 16
    stride: int = 25
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    fewest_steps: int = 500
    largest_softmax: int = 50_000
    samples: int = 4096


@dataclass(frozen=True, slots=True)
class RankingPreset:
    """How ranking learns.

    A click is held against retrieval's `nearest` candidates, `sampled` ones out of the rest of its `pool` and `far` ones out of
    the rest of the catalogue; in `cold_share` of the batches users have no history, and the candidates come by popularity.
    """

    item_dim: int = 32
    user_dim: int = 16
    attention_dim: int = 32
    cross_layers: int = 2
    cross_rank: int = 16
    hidden: tuple[int, ...] = (64, 32)
    dropout: float = 0.2
    epochs: int = 2
    patience: int = 2
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    fewest_steps: int = 200
    nearest: int = 40
    sampled: int = 24
    far: int = 40
    pool: int = 500
    cold_share: float = 0.1


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    retrieval: RetrievalPreset = field(default_factory=RetrievalPreset)
    ranking: RankingPreset = field(default_factory=RankingPreset)
    history_length: int = 50


PRESETS = {
    "quick": Preset("quick"),
    "full": Preset(
        "full",
        RetrievalPreset(epochs=24, patience=4, dropout=0.2, id_dropout=0.05, learning_rate=2e-3),
        RankingPreset(epochs=4),
    ),
}


def preset_named(name: str) -> Preset:
    """Raises `BadSettings` that lists the presets there are."""
    if name not in PRESETS:
        raise BadSettings(f"no preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[name]
