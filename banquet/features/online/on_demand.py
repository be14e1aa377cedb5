"""Runs on-demand views by Feast's own code, so that they say what Feast says. Imports Feast."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from feast import FeatureStore, ValueType
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from feast.utils import _augment_response_with_on_demand_transforms

from banquet.features.project.definitions import Projection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from feast import OnDemandFeatureView

    from banquet.features.project.repo import FeatureRepo


class OnDemandViews:
    """The on-demand views of a repo, as its registry has them now."""

    def __init__(self, repo: FeatureRepo) -> None:
        self._feast = FeatureStore(repo_path=str(repo.folder), fs_yaml_file=repo.yaml)

    def compute(
        self,
        wanted: Sequence[Projection],
        inputs: Mapping[str, Sequence[bytes | None]],
        references: Sequence[str] = (),
        *,
        full_names: bool = False,
    ) -> dict[str, list[bytes]]:
        """Serialized values by output name, one per row, from serialized values by input name.

        `references` are the other features asked for in the same read. Whatever the views' code raises comes through.
        """
        response = GetOnlineFeaturesResponse()
        for name, blobs in inputs.items():
            response.metadata.feature_names.val.append(name)
            response.results.add(values=[Value.FromString(blob or b"") for blob in blobs])
        before = len(response.results)
        asked = [f"{projection.alias}:{feature}" for projection in wanted for feature in projection.features]
        _augment_response_with_on_demand_transforms(
            response, [*references, *asked], [self._view(projection) for projection in wanted], full_names
        )
        names = response.metadata.feature_names.val[before:]
        return {
            name: [value.SerializeToString() for value in result.values]
            for name, result in zip(names, response.results[before:], strict=True)
        }

    def compute_typed(
        self,
        wanted: Sequence[Projection],
        given: Mapping[str, tuple[str, Sequence[object]]],
        inputs: Mapping[str, Sequence[bytes | None]],
        references: Sequence[str] = (),
        *,
        full_names: bool = False,
    ) -> dict[str, list[bytes]]:
        """As `compute`, with join keys and request data `given` as (Feast type, plain values) by name."""
        typed = {name: serialized(values, kind) for name, (kind, values) in given.items()}
        return self.compute(wanted, typed | dict(inputs), references, full_names=full_names)

    def request_data(self, view: str) -> dict[str, str]:
        """The types of the request data that a view wants, by name."""
        schema = self._view(Projection(view, view, ())).get_request_data_schema()
        return {name: kind.name for name, kind in schema.items()}

    def _view(self, projection: Projection) -> OnDemandFeatureView:
        name, _, version = projection.view.partition("@v")
        registry, project = self._feast.registry, self._feast.project
        if version:
            view = registry.get_feature_view_by_version(name, project, int(version), allow_cache=True)
        else:
            view = registry.get_any_feature_view(name, project, allow_cache=True)
        its = copy(view.projection)
        its.name_alias = None if projection.alias == projection.view else projection.alias.partition("@v")[0]
        its.version_tag = int(version) if version else None
        return view.with_projection(its)


def serialized(values: Sequence[object], kind: str) -> list[bytes]:
    """Plain Python values as Feast stores them."""
    return [value.SerializeToString() for value in python_values_to_proto_values(list(values), ValueType[kind])]
