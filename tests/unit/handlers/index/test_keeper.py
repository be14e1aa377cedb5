"""Which index serves a version."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

import pytest
import torch

from handlers.index import keeper
from handlers.index.keeper import IndexKeeper
from handlers.index.lists import Lists
from handlers.index.plan import Plan
from handlers.tables import Tables
from tests.unit.handlers.index.crowd import Crowd, crowd, users_of

ITEMS = 4000


@dataclass
class Version(Crowd):
    """What the keeper looks at of resident items."""

    tables: Tables
    version: str = "v"

    def __len__(self):
        return len(self.vectors) - 1

    @property
    def device(self):
        return self.vectors.device


def version_of(tables):
    shown = torch.ones(tables.used, dtype=torch.bool)
    shown[0] = False
    return Version(tables.vectors, shown, tables)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Bounds at which a catalogue of some thousands counts as large."""
    monkeypatch.setattr(keeper, "FEW", 1000)
    monkeypatch.setattr(keeper, "LEAST_BEHIND", 100)
    monkeypatch.setattr(keeper, "RECALL_AT", 20)


@pytest.fixture
def lines():
    return crowd(ITEMS)


@pytest.fixture
def planned(lines):
    lists = Lists.learned(lines.vectors[1:], 64)
    return Plan(lists, 24, "int8", users_of(lines, 32)[:, 0])


@pytest.fixture
def keep():
    kept = []

    def make(plan):
        kept.append(IndexKeeper(plan, 1))
        return kept[-1]

    yield make
    for one in kept:
        one.stop()


def follow(indexes, version):
    indexes.follow(version)
    indexes.wait()
    return indexes.of(version)


def test_a_version_is_looked_at_in_full_until_its_index_is_there(keep, lines, planned):
    """Nobody waits for an index."""
    indexes, version = keep(planned), version_of(Tables(lines.vectors[1:], None))
    assert indexes.of(version).name == "exact"
    assert follow(indexes, version).name == "ivf"
    assert indexes.of(version_of(Tables(lines.vectors[1:], None))).name == "exact"


def test_few_items_need_no_index(keep, planned):
    """Below the crossover every line is looked at, whatever was planned."""
    assert follow(keep(planned), version_of(Tables(crowd(900).vectors[1:], None))).name == "exact"


def test_an_index_is_extended_when_much_came_behind_it(keep, lines, planned):
    """A few lines may lie behind it; many are taken in, and the one before goes on for those who have it."""
    indexes, tables = keep(planned), Tables(lines.vectors[1:], None)
    first = follow(indexes, version_of(tables))
    tables.append(crowd(50, seed=2).vectors[1:], None)
    assert follow(indexes, version_of(tables)) is first
    tables.append(crowd(200, seed=3).vectors[1:], None)
    extended = follow(indexes, version_of(tables))
    assert (first.covered, extended.covered) == (ITEMS + 1, ITEMS + 251)


def test_more_lists_are_looked_into_when_too_little_is_found(keep, lines, planned, caplog):
    """A plan that was made for other items is not believed: the index is tried, and the log says what it took."""
    plan = Plan(planned.lists, 2, "int8", planned.users)
    with caplog.at_level(logging.WARNING):
        index = follow(keep(plan), version_of(Tables(lines.vectors[1:], None)))
    assert index.probes > 2
    assert "build the archive anew" in caplog.text


def test_an_index_that_finds_too_little_does_not_serve(keep, lines, planned, caplog):
    """Lists of one kind of item do not fit another kind; then every line is looked at, and the log says so."""
    other = torch.randn(ITEMS, lines.vectors.shape[1])
    plan = Plan(planned.lists, 1, "int8", torch.randn(32, lines.vectors.shape[1]))
    with caplog.at_level(logging.WARNING):
        index = follow(keep(plan), version_of(Tables(other, None)))
    assert index.name == "exact"
    assert "train again" in caplog.text


def test_without_faiss_every_line_is_looked_at(keep, lines, planned, monkeypatch, caplog):
    """The answer stays right, and the log says what would make it quicker."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    with caplog.at_level(logging.WARNING):
        indexes = keep(planned)
    assert follow(indexes, version_of(Tables(lines.vectors[1:], None))).name == "exact"
    assert "banquet[faiss]" in caplog.text
