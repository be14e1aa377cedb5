"""A host held to a release takes no other's answer."""

from __future__ import annotations

import numpy as np
import pytest

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelRun
from banquet.inference.host import StackedAnswer
from banquet.inference.release_host import ReleaseHost


class Models:
    """Answers as a release of the test's choice."""

    def __init__(self, release):
        self.release = release
        self.checked, self.closed = [], False

    async def run(self, model, catalogue, arrays, timeout_s):
        return StackedAnswer({"rows": np.zeros((1, 1), np.int32)}, ModelRun(self.release))

    def capacity(self, model):
        return 3

    async def check(self, model, timeout_s):
        self.checked.append(model)

    async def close(self):
        self.closed = True


async def test_its_own_releases_answers_pass():
    """And so does everything else."""
    models = Models("r1")
    host = ReleaseHost(models, "r1")
    assert (await host.run("cascade", "c", {}, 1.0)).run.release == "r1"
    assert host.capacity("cascade") == 3
    await host.check("cascade", 1.0)
    await host.close()
    assert (models.checked, models.closed) == (["cascade"], True)


async def test_another_releases_answer_is_refused():
    """Half an answer of one and half of another would be nobody's."""
    with pytest.raises(StageFailed, match="release_mismatch: cascade answered as release 'r2', asked as r1"):
        await ReleaseHost(Models("r2"), "r1").run("cascade", "c", {}, 1.0)
