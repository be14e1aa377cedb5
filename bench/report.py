"""A run's result: one JSON object that says what was measured on what, and a table with the ratio first."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGES = ("feast", "torchserve", "torch", "onnxruntime", "grpcio")
ROOT = Path(__file__).parent.parent


def commit() -> str:
    """The commit measured, with `+changes` when the tree differs from it; `unknown` outside a repository."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def machine() -> dict[str, Any]:
    """What it ran on: numbers of another machine do not compare."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def circumstances(workload: Mapping[str, Any]) -> dict[str, Any]:
    """How every result begins."""
    return {
        "commit": commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "workload": dict(workload),
    }


def result(
    *,
    workload: Mapping[str, Any],
    banquet: Mapping[str, Any],
    naive: Mapping[str, Any],
    agreement: float,
) -> dict[str, Any]:
    """`banquet` and `naive` hold at least `p50_ms`, `p99_ms` (at concurrency 1) and `rps` (the best closed-loop one)."""
    return {
        **circumstances(workload),
        "ratio": {"throughput": banquet["rps"] / naive["rps"], "p50": naive["p50_ms"] / banquet["p50_ms"]},
        "banquet": dict(banquet),
        "naive": dict(naive),
        "stages_ms": banquet["stages_ms"],
        "gateway_ms": {
            "outside_models": banquet["outside_models_ms"],
            "outside_model_calls": banquet["outside_model_calls_ms"],
            "bare_call": banquet["bare_call_p50_ms"],
        },
        "agreement": agreement,
    }


def write(body: Mapping[str, Any], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(body, indent=2, allow_nan=False) + "\n")


def show(body: Mapping[str, Any]) -> None:
    """For a person: the ratio first, then how it came about."""
    ratio = body["ratio"]
    table = Table(
        title=f"Banquet answers {ratio['throughput']:.1f} times as many requests, {ratio['p50']:.1f} times sooner (p50)",
        caption=caption(body),
        title_justify="left",
        caption_justify="left",
    )
    for column in ("", "p50 ms", "p99 ms", "rps", "open loop", "p50 ms", "p99 ms", "failed"):
        table.add_column(column, justify="left" if not column else "right")
    for name in ("banquet", "naive"):
        side = body[name]
        at = side["open_loop"]
        closed = [f"{side[key]:,.1f}" for key in ("p50_ms", "p99_ms", "rps")]
        opened = [f"{at['rate_per_s']:,.1f}/s", f"{at['p50_ms']:,.1f}", f"{at['p99_ms']:,.1f}"]
        table.add_row(name, *closed, *opened, str(sum(side["failures"].values())))
    stages = Table(title="Banquet's stages at concurrency 1", title_justify="left")
    for column in ("stage", "p50 ms", "of it in the model"):
        stages.add_column(column, justify="left" if column == "stage" else "right")
    for stage, times in body["stages_ms"].items():
        stages.add_row(stage, f"{times['p50']:.2f}", f"{times['model_p50']:.2f}" if times["model_p50"] is not None else "")
    cost_ms, bare_ms = body["gateway_ms"]["outside_model_calls"], body["gateway_ms"]["bare_call"]
    cost = f"Outside the model calls: {cost_ms:.2f} ms; a call that asks for nothing takes {bare_ms:.2f} ms."
    Console().print(table, stages, f"{cost} The two agree on {body['agreement']:.1%} of the items.")


def caption(body: Mapping[str, Any]) -> str:
    """A result's circumstances in words."""
    about = body["machine"]
    return f"{about['cores']} cores of {about['cpu']} · commit {body['commit']} · {_in_words(body['workload'])}"


def _in_words(workload: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in workload.items() if isinstance(value, (str, int, float)))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
