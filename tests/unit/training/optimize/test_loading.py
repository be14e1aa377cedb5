"""What cannot be taken back from a release says so."""

import pytest

from banquet.core.errors import BadRelease
from banquet.training.optimize.loading import load_trained
from tests.release_factory import make_release


def test_models_of_another_make_are_refused(tmp_path) -> None:
    """A release of somebody's own graphs can be served, but its layers are nobody's to cut."""
    with pytest.raises(BadRelease, match="not the models that `banquet train` makes"):
        load_trained(make_release(tmp_path))
