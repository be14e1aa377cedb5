"""A small world to train in, and files of models in it."""

import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch

from banquet.training.activity import read_log
from banquet.training.course import Course, FinishedRetrieval
from banquet.training.datasets.synthetic import synthesize
from banquet.training.export import Exported
from banquet.training.material import Material
from banquet.training.own.model_file import ModelFile
from banquet.training.own.retrieval import OwnHistory, OwnRetrieval
from banquet.training.presets import Preset
from banquet.training.progress import Progress
from banquet.training.schema_building import build_schema
from banquet.training.split import split_by_time
from banquet.training.train_retrieval import Scorer

HEAD = """
import numpy as np
import torch
from torch import nn

class Items(nn.Module):
    def __init__(self, data, width=4):
        super().__init__()
        self.ids = nn.Embedding(data.index_size, width)
    def forward(self, index):
        return self.ids(index)

class History(nn.Module):
    def forward(self, history, mask):
        return history.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

class Ranker(nn.Module):
    def forward(self, candidates, retrieval_scores):
        return retrieval_scores + candidates.sum(2)

"""


@pytest.fixture(scope="session")
def material():
    dataset = synthesize(users=80, items=50, events=2_000, seed=4)
    log = read_log(dataset)
    split = split_by_time(log)
    return Material.of(dataset, log, split, build_schema(dataset, log, split, 10))


@pytest.fixture
def course(material, tmp_path):
    torch.manual_seed(1)
    folder = tmp_path / "release"
    folder.mkdir()
    preset = replace(Preset("short"), history_length=10)
    return Course(material, None, preset, 7, np.random.default_rng(7), Progress(), folder)


@pytest.fixture
def model_file(tmp_path):
    """model_file(code) -> the file, loaded; `Items`, `History` and `Ranker` are there to be used."""

    def write(code: str) -> ModelFile:
        path = tmp_path / "my_models.py"
        path.write_text(HEAD + textwrap.dedent(code))
        return ModelFile.load(path)

    return write


@pytest.fixture
def finished(material):
    """A retrieval of random vectors, for rankers to stand on."""

    class Mean(torch.nn.Module):
        def forward(self, history, mask):
            return history.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    vectors = torch.randn(len(material.items), 4, generator=torch.Generator().manual_seed(3))
    scorer = Scorer(material.log, material.items, OwnRetrieval(vectors, OwnHistory(Mean())), 10)
    return FinishedRetrieval(scorer, vectors.numpy(), Exported({}, {}))
