"""`python -m bench features`: the feature plane against Feast's SDK on the same stores, in one run."""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bench import report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.features.case import Case

STORES = ("sqlite", "redis")
# What is measured: each module has `cases(store, work)`.
MEASURED = ("reads", "event_visible", "item_push")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, required=True, help="file for the result")
    parser.add_argument("--store", choices=STORES, action="append", help="measure on this store alone; both by default")
    parser.add_argument("--only", choices=MEASURED, action="append", help="measure this alone; everything by default")


def run(arguments: argparse.Namespace) -> None:
    """Takes minutes: the SDK is slow."""
    stores, measured = arguments.store or STORES, arguments.only or MEASURED
    work = Path(tempfile.mkdtemp(prefix="banquet-bench-"))
    cases: list[Case] = []
    try:
        for store in stores:
            for name in measured:
                module = importlib.import_module(f"bench.features.{name}")
                cases += module.cases(store, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    body = report.circumstances({"stores": list(stores), "measured": list(measured)}) | {
        "cases": [case.to_json() for case in cases]
    }
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(body, indent=1) + "\n")
    _show(cases)


def _show(cases: Sequence[Case]) -> None:
    table = Table("work", "store", "Banquet ms", "SDK ms", "times faster")
    for case in cases:
        sdk, ratio = ("-" if number is None else f"{number:g}" for number in (case.sdk_ms, case.ratio))
        table.add_row(case.name, case.store, f"{case.banquet_ms:g}", sdk, ratio)
    Console().print(table)
