"""What every benchmark starts from: data, a release and features that are there, and requests for users drawn by seed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from banquet.app.demo import make
from banquet.app.settings import Settings, read_settings
from banquet.training.datasets.dataset import Dataset
from bench.answers import requests_for

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

PLACEMENT = "home"
SEED = 7


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="data to use: whatever `banquet data import` takes; synthetic by default")
    parser.add_argument("--json", type=Path, required=True, help="file for the result")
    parser.add_argument("--settings", type=Path, help="YAML file of Banquet's settings")
    parser.add_argument("--preset", choices=["quick", "full"], default="quick", help="how long to train, if there is no release")
    parser.add_argument("--limit", type=int, default=20, help="items per answer")
    parser.add_argument("--users", type=int, default=500, help="different users, drawn by seed, asked for in turn")
    parser.add_argument("--connections", type=int, default=8, help="connections the load is spread over")


def prepare(arguments: Namespace) -> Settings:
    """Makes whatever is missing, and gives the settings it was made with."""
    settings = read_settings(arguments.settings)
    make(settings, arguments.data, arguments.preset, SEED)
    return settings


def with_release(arguments: Namespace) -> Settings:
    """The same when nothing but a release is needed: one that the settings name is taken as it is."""
    settings = read_settings(arguments.settings)
    return settings if settings.release else prepare(arguments)


def draw_requests(settings: Settings, users: int, limit: int, placement: str = PLACEMENT) -> list[bytes]:
    """One per user of the dataset drawn, at the placement."""
    known = pq.read_table(settings.workspace / "data" / "users.parquet", columns=["user_id"])["user_id"].to_pylist()
    drawn = random.Random(SEED).sample(known, min(users, len(known)))
    return requests_for(drawn, placement=placement, limit=limit)


def facts(settings: Settings) -> dict[str, Any]:
    """About the dataset and how Banquet is set."""
    dataset = Dataset.load(settings.workspace / "data")
    return {
        "placement": PLACEMENT,
        "server_processes": settings.gateways,
        "model_workers": settings.torchserve.workers,
        "model_threads": settings.torchserve.threads,
        "backend": settings.torchserve.backend,
        "dataset": dataset.name,
        "dataset_users": dataset.users.num_rows,
        "dataset_items": dataset.items.num_rows,
        "dataset_interactions": dataset.interactions.num_rows,
    }
