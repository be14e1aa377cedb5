"""When each view was last materialized: a small file beside the layout, for who does not load Feast."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from banquet.features.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from feast import FeatureStore

    from banquet.features.project.layout import Layout

FILE = "materializations.json"


def write_materializations(feast: FeatureStore, layout: Layout, folder: Path) -> None:
    """Publish up to which moment (unix seconds) each view was materialized last."""
    ends = {
        view.name: max((end for _, end in view.materialization_intervals), default=None) for view in feast.list_feature_views()
    }
    known = {view.name: end.timestamp() for view in layout.views if (end := ends.get(view.name)) is not None}
    write_text(folder / FILE, json.dumps(known, indent=1))


def read_materializations(folder: Path) -> Mapping[str, float]:
    """Unix seconds by view; a view that is missing was never materialized, as far as is known."""
    try:
        body = json.loads((folder / FILE).read_text())
        return {str(view): float(end_s) for view, end_s in body.items()}
    except (FileNotFoundError, ValueError, AttributeError, TypeError):
        # Written anew with the next layout.
        return {}
