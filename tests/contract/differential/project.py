"""One Feast project per example, made and changed in this process by Feast's own code, and asked as any user would."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey

from tests.contract.differential.scenarios import Apply, Materialize, Move, Push, Write
from tests.contract.differential.values import FEAST_TYPES, bits, of_proto, to_arrow, to_proto

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    from tests.contract.differential.scenarios import Id, Part, Question, Row, Schema, Step, ViewSpec

PROJECT = "projekt"
SERVICE = "asked"
CREATED = datetime(2026, 1, 3, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cell:
    """One feature of one entity as an answer has it: Feast's status, the value to the bit, the event time.

    `kind` is the field of Feast's `Value` that is set.
    """

    status: int
    value: Hashable
    time_us: int
    kind: str | None = field(default=None, compare=False)


class Project:
    """A Feast project in a folder."""

    def __init__(self, folder: Path, online_store: str, schema: Schema, service: tuple[Part, ...], *, versioned: bool) -> None:
        self.folder = folder
        self._write_yaml(online_store, versioned=versioned)
        self._service = service
        # Entities that a view was ever given, whether or not it kept them.
        self.touched: set[tuple[str, tuple[Id, ...]]] = set()
        self.feast = FeatureStore(repo_path=str(folder))
        self.apply(schema)

    def apply(self, schema: Schema) -> None:
        """As `feast apply` does; the service is kept while its views have what it names."""
        self.schema = schema
        entities = {
            name: Entity(name=name, join_keys=[key.name], value_type=ValueType[key.kind]) for name, key in schema.keys.items()
        }
        views = {view.name: self._view(view, entities) for view in schema.views}
        service = [_projected(part, views[part.view]) for part in self._service if _fits(part, schema)]
        served = FeatureService(name="ranking", features=[views[view.name] for view in schema.views if len(view.entities) == 1])
        self.feast.apply([*entities.values(), *views.values(), served, FeatureService(name=SERVICE, features=service)])

    def take(self, step: Step) -> None:
        """Anything but a move to another time zone."""
        if isinstance(step, Write | Push | Materialize):
            self.touched |= {(step.view, row.ids) for row in step.rows}
        match step:
            case Apply(schema):
                self.apply(schema)
            case Write(name, rows):
                self._write(self.schema.view(name), rows)
            case Push(name, rows):
                frame = self._table(self.schema.view(name), rows).to_pandas()
                self.feast.write_to_online_store(name, frame)
            case Materialize(name, rows, until, since):
                pq.write_table(self._table(self.schema.view(name), rows), self._source(name))
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    if since is None:
                        self.feast.materialize_incremental(until, feature_views=[name])
                    else:
                        self.feast.materialize(since, until, feature_views=[name])
            case Move():
                raise AssertionError("a project does not move")

    def told(self, question: Question) -> dict[str, list[Cell]]:
        """The SDK's answer, by column."""
        asked = self.feast.get_feature_service(SERVICE) if question.references is None else list(question.references)
        rows = {name: list(ids) for name, ids in question.rows.items()}
        answer = self.feast.get_online_features(asked, rows, full_feature_names=question.full_names).proto
        vectors = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
        return {
            name: [
                Cell(status, bits(of_proto(value)), time.ToMicroseconds(), value.WhichOneof("val"))
                for status, value, time in zip(vector.statuses, vector.values, vector.event_timestamps, strict=True)
            ]
            for name, vector in vectors.items()
            if name not in question.rows
        }

    def _write_yaml(self, online_store: str, *, versioned: bool) -> None:
        (self.folder / "feature_store.yaml").write_text(f"""\
project: {PROJECT}
provider: local
registry:
  path: registry.db
  cache_ttl_seconds: 600
  enable_online_feature_view_versioning: {str(versioned).lower()}
online_store:
  {online_store}
offline_store:
  type: file
entity_key_serialization_version: 3
""")

    def _view(self, view: ViewSpec, entities: Mapping[str, Entity]) -> FeatureView:
        source = FileSource(
            name=f"{view.name}_file",
            path=str(self._source(view.name)),
            timestamp_field="event_timestamp",
            created_timestamp_column="created",
        )
        keys = [self.schema.keys[entity] for entity in view.entities]
        fields = [Field(name=key.name, dtype=FEAST_TYPES[key.kind]) for key in keys]
        fields += [Field(name=name, dtype=FEAST_TYPES[kind]) for name, kind in view.features.items()]
        if not self._source(view.name).exists():
            pq.write_table(self._table(view, ()), self._source(view.name))
        return FeatureView(
            name=view.name,
            entities=[entities[entity] for entity in view.entities],
            ttl=timedelta(days=36_500),
            schema=fields,
            source=source,
        )

    def _source(self, view: str) -> Path:
        return self.folder / f"{view}.parquet"

    def _table(self, view: ViewSpec, rows: tuple[Row, ...]) -> pa.Table:
        keys = [self.schema.keys[entity] for entity in view.entities]
        columns = {key.name: to_arrow(key.kind, [row.ids[at] for row in rows]) for at, key in enumerate(keys)}
        columns |= {name: to_arrow(kind, [row.values[name] for row in rows]) for name, kind in view.features.items()}
        stamp = pa.timestamp("us", tz="UTC")
        columns["event_timestamp"] = pa.array([row.at for row in rows], stamp)
        columns["created"] = pa.array([CREATED for _ in rows], stamp)
        return pa.table(columns)

    def _write(self, view: ViewSpec, rows: tuple[Row, ...]) -> None:
        keys = [self.schema.keys[entity] for entity in view.entities]
        data = []
        for row in rows:
            entity = EntityKey(
                join_keys=[key.name for key in keys],
                entity_values=[to_proto(key.kind, one) for key, one in zip(keys, row.ids, strict=True)],
            )
            values = {name: to_proto(view.features[name], value) for name, value in row.values.items()}
            data.append((entity, values, row.at, CREATED))
        store = self.feast._get_provider().online_store
        store.online_write_batch(self.feast.config, self.feast.get_feature_view(view.name), data, None)


def _fits(part: Part, schema: Schema) -> bool:
    return all(name in schema.view(part.view).features for name in part.features)


def _projected(part: Part, view: FeatureView) -> FeatureView:
    projected = view[list(part.features)]
    if part.alias:
        projected = projected.with_name(part.alias)
    if part.join_key:
        projected = projected.with_join_key_map(dict([part.join_key]))
    return projected
