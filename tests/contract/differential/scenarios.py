"""What may happen to a Feast project, and what it may be asked: schemas, steps and questions, drawn by hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from hypothesis import strategies as st

from tests.contract.differential.values import FEAST_TYPES, TEXTS, plain_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.contract.differential.values import Plain

Id: TypeAlias = str | int
ZONES = ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "Pacific/Apia"]
FEATURES = ["a", "B", "größe", "a b", "zz"]
OTHER = "other_"
JOIN_KEYS = ["id", "user_id", "größe_id", "Z"]
USER_VIEWS, ITEM_VIEWS, PAIR_VIEW = ("user_1", "user_2"), ("item_1", "item_2"), "pair"
# Summer time begins in New York on 2026-03-08 at 02:00, and ends on 2026-11-01 at 02:00.
MOMENTS = [
    datetime(2026, 1, 1, 12, tzinfo=UTC),
    datetime(2026, 1, 1, 12, 0, 0, 250_001, tzinfo=UTC),
    datetime(2026, 3, 8, 2, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 1, 30, 59, 999_999, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
]
# Some more often than others.
STEPS = ["write", "write", "push", "push", "materialize", "incremental", "apply", "apply", "move"]
LATEST = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """An entity's join key, its type and the ids that occur."""

    name: str
    kind: str
    ids: tuple[Id, ...]


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """A feature view: its entities and the type of each feature."""

    name: str
    entities: tuple[str, ...]
    features: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """A project's definitions."""

    keys: Mapping[str, Key]
    views: tuple[ViewSpec, ...]

    def view(self, name: str) -> ViewSpec:
        return next(view for view in self.views if view.name == name)

    def views_of(self, entity: str) -> tuple[ViewSpec, ...]:
        return tuple(view for view in self.views if view.entities == (entity,))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a view: the id per entity, the event time, and a value for some or all features."""

    ids: tuple[Id, ...]
    at: datetime
    values: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Write:
    """Rows go into the online store as they are."""

    view: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """Rows go into the online store as a data frame."""

    view: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Materialize:
    """The view's source holds the rows and is materialized up to `until`, from `since` or from where it was left."""

    view: str
    rows: tuple[Row, ...]
    until: datetime
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Apply:
    """The definitions change."""

    schema: Schema


@dataclass(frozen=True, slots=True)
class Move:
    """The process finds itself in another time zone."""

    zone: str


Step: TypeAlias = Write | Push | Materialize | Apply | Move


@dataclass(frozen=True, slots=True)
class Question:
    """A request for features. `references` is None when the service is asked for.

    `rows` maps each join key to one id per row. With full names, a feature's column is called `view__feature`.
    """

    references: tuple[str, ...] | None
    rows: Mapping[str, tuple[Id, ...]]
    full_names: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A view as a feature service takes it: some features, perhaps under another name, perhaps by another join key."""

    view: str
    features: tuple[str, ...]
    alias: str | None
    join_key: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Definitions, a service over them, what the store is filled with, and steps with the question asked after each."""

    zone: str
    versioned: bool
    schema: Schema
    service: tuple[Part, ...]
    filled: tuple[Write, ...]
    steps: tuple[tuple[Step, Question], ...]


def _ids(kind: str) -> st.SearchStrategy[Any]:
    size = {"INT32": 31, "INT64": 63}.get(kind)
    if size is None:
        return TEXTS
    return st.sampled_from([0, 1, -1, 2**size - 1, -(2**size)]) | st.integers(-(2**size), 2**size - 1)


@st.composite
def _keys(draw: st.DrawFn) -> dict[str, Key]:
    names = draw(st.permutations(JOIN_KEYS))
    keys = {}
    for entity, name in zip(("user", "item"), names, strict=False):
        kind = draw(st.sampled_from(["STRING", "STRING", "INT64", "INT32"]))
        keys[entity] = Key(name, kind, tuple(draw(st.lists(_ids(kind), min_size=3, max_size=3, unique=True))))
    return keys


@st.composite
def _features(draw: st.DrawFn) -> dict[str, str]:
    names = draw(st.lists(st.sampled_from(FEATURES), min_size=1, max_size=4, unique=True))
    return {name: draw(st.sampled_from(list(FEAST_TYPES))) for name in names}


@st.composite
def _schemas(draw: st.DrawFn, keys: Mapping[str, Key]) -> Schema:
    # Two views may have features of the same name; the last view of users holds the history.
    views = []
    for entity, names in (("user", USER_VIEWS), ("item", ITEM_VIEWS)):
        views += [ViewSpec(name, (entity,), draw(_features())) for name in names]
    views[1] = replace(views[1], features={**views[1].features, "history": "STRING_LIST"})
    if draw(st.booleans()):
        views.append(ViewSpec(PAIR_VIEW, draw(st.sampled_from([("user", "item"), ("item", "user")])), draw(_features())))
    return Schema(keys, tuple(views))


@st.composite
def _changed(draw: st.DrawFn, schema: Schema) -> Schema:
    """One view gets other features: some dropped, some of another type, some new."""
    at = draw(st.integers(0, len(schema.views) - 1))
    view = schema.views[at]
    features = draw(_features())
    kept = {name: kind for name, kind in view.features.items() if name == "history" or draw(st.booleans())}
    views = list(schema.views)
    views[at] = replace(view, features={**kept, **features} if draw(st.booleans()) else {**features, **kept})
    return replace(schema, views=tuple(views))


@st.composite
def _rows(draw: st.DrawFn, schema: Schema, view: ViewSpec, *, framed: bool) -> tuple[Row, ...]:
    rows = []
    for _ in range(draw(st.integers(2, 4))):
        ids = tuple(draw(st.sampled_from(schema.keys[entity].ids)) for entity in view.entities)
        # A frame has every feature; who writes by hand may leave some out.
        values = {name: draw(plain_values(kind, framed=framed)) for name, kind in view.features.items()}
        if not framed:
            left_out = draw(st.sets(st.sampled_from(sorted(values)), max_size=len(values) - 1))
            values = {name: value for name, value in values.items() if name not in left_out}
        rows.append(Row(ids, draw(st.sampled_from(MOMENTS)), values))
    return tuple(rows)


@st.composite
def _steps(draw: st.DrawFn, schema: Schema) -> Step:
    kind = draw(st.sampled_from(STEPS))
    if kind == "apply":
        return Apply(draw(_changed(schema)))
    if kind == "move":
        return Move(draw(st.sampled_from(ZONES)))
    view = draw(st.sampled_from(schema.views))
    rows = draw(_rows(schema, view, framed=kind != "write"))
    if kind == "write":
        return Write(view.name, rows)
    if kind == "push":
        return Push(view.name, rows)
    until = draw(st.sampled_from([datetime(2026, 1, 1, 18, tzinfo=UTC), LATEST]))
    return Materialize(view.name, rows, until, None if kind == "incremental" else until - timedelta(days=400))


@st.composite
def _questions(draw: st.DrawFn, schema: Schema, service: tuple[Part, ...]) -> Question:
    if draw(st.booleans()):
        parts = [part for part in service if all(name in schema.view(part.view).features for name in part.features)]
        if parts == list(service):
            names = [name for part in service for name in part.features]
            rows = draw(_entity_rows(schema, _keys_of_service(schema, service)))
            return Question(None, rows, draw(_full(names)))
    every = [f"{view.name}:{name}" for view in schema.views for name in view.features]
    references = tuple(draw(st.lists(st.sampled_from(every), min_size=1, max_size=6, unique=True)))
    entities = {entity for reference in references for entity in schema.view(reference.partition(":")[0]).entities}
    rows = draw(_entity_rows(schema, {schema.keys[entity].name: entity for entity in sorted(entities)}))
    return Question(references, rows, draw(_full([reference.partition(":")[2] for reference in references])))


def _full(names: list[str]) -> st.SearchStrategy[bool]:
    """Short names must be unique."""
    return st.booleans() if len(set(names)) == len(names) else st.just(True)


def _keys_of_service(schema: Schema, service: tuple[Part, ...]) -> dict[str, str]:
    keys = {}
    for part in service:
        for entity in schema.view(part.view).entities:
            name = schema.keys[entity].name
            keys[part.join_key[1] if part.join_key and part.join_key[0] == name else name] = entity
    return keys


@st.composite
def _entity_rows(draw: st.DrawFn, schema: Schema, keys: Mapping[str, str]) -> dict[str, tuple[Id, ...]]:
    """Known ids, some twice, and now and then one nobody wrote."""
    count = draw(st.integers(1, 5))
    return {
        name: tuple(
            draw(st.sampled_from(schema.keys[entity].ids) if draw(st.integers(0, 7)) else _ids(schema.keys[entity].kind))
            for _ in range(count)
        )
        for name, entity in keys.items()
    }


@st.composite
def _services(draw: st.DrawFn, schema: Schema) -> tuple[Part, ...]:
    views = draw(st.lists(st.sampled_from(schema.views), min_size=1, max_size=3))
    parts = []
    for number, view in enumerate(views):
        names = draw(st.lists(st.sampled_from(sorted(view.features)), min_size=1, unique=True))
        # Feast itself fails on a view taken twice unless each time it has a name.
        alias = f"{view.name} {number}" if views.count(view) > 1 or draw(st.booleans()) else None
        key = schema.keys[view.entities[0]].name
        join_key = (key, f"{OTHER}{key}") if draw(st.booleans()) else None
        parts.append(Part(view.name, tuple(names), alias, join_key))
    return tuple(parts)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """One to six steps; each schema follows from the one before."""
    keys = draw(_keys())
    schema = first = draw(_schemas(keys))
    service = draw(_services(schema))
    filled = tuple(Write(view.name, draw(_rows(schema, view, framed=False))) for view in schema.views if draw(st.integers(0, 5)))
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        step = draw(_steps(schema))
        if isinstance(step, Apply):
            schema = step.schema
        steps.append((step, draw(_questions(schema, service))))
    return Scenario(draw(st.sampled_from(ZONES)), draw(st.integers(0, 3)) == 3, first, service, filled, tuple(steps))
