"""The placements file: which stages each placement has. Unknown keys and kinds are errors that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from banquet.core.errors import BadSettings

if TYPE_CHECKING:
    from pathlib import Path

Limit = Annotated[int, Field(gt=0, le=5000)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(Part):
    kind: Literal["cascade", "retrieval", "similar", "popular"]
    limit: Limit = 500


class ScorerSettings(Part):
    kind: Literal["ranking"]


class TopKSettings(Part):
    kind: Literal["top_k"]


class MmrSettings(Part):
    kind: Literal["mmr"]
    diversity: float = Field(0.3, ge=0, le=1)


class ExploreSettings(Part):
    share: float = Field(gt=0, le=1)
    pool: Limit = 100


class PlacementSettings(Part):
    """One placement's pipeline."""

    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)]
    reserve: SourceSettings | None = SourceSettings(kind="popular", limit=1000)
    filters: tuple[Literal["seen", "available", "attributes", "duplicates"], ...] = (
        "seen",
        "available",
        "attributes",
        "duplicates",
    )
    scorer: ScorerSettings | None = None
    selector: Annotated[TopKSettings | MmrSettings, Field(discriminator="kind")] = TopKSettings(kind="top_k")
    explore: ExploreSettings | None = None
    budgets_ms: dict[str, PositiveFloat] = {}

    @model_validator(mode="after")
    def _budgets_are_of_stages_that_wait(self) -> PlacementSettings:
        sources = [*self.sources, *([self.reserve] if self.reserve else [])]
        stages = sorted({"users", *(source.kind for source in sources), *([self.scorer.kind] if self.scorer else [])})
        for stage in self.budgets_ms:
            if stage not in stages:
                raise ValueError(f"budgets_ms has {stage!r}; allowed: {', '.join(stages)}")
        return self


class PlacementsFile(Part):
    placements: Annotated[dict[str, PlacementSettings], Field(min_length=1)]


def read_placements(path: Path) -> dict[str, PlacementSettings]:
    """The file's placements by name. Raises `BadSettings` naming file, key and remedy."""
    try:
        body = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}; set placements_file to a file that can be read") from error
    except yaml.YAMLError as error:
        raise BadSettings(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    try:
        return PlacementsFile.model_validate(body).placements
    except ValidationError as error:
        raise BadSettings(f"{path}: {in_words(error)}") from error


def in_words(error: ValidationError) -> str:
    """Every problem of a settings file on one line: where, what is wrong, what stands there."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']} (is {str(problem['input'])[:60]!r})"
        for problem in error.errors()
    )
