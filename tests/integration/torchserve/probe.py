"""The probe: an archive whose handler answers what a test can work out and fails as asked, and jobs for it."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from pathlib import Path

import numpy as np

from banquet.core.errors import StageFailed
from banquet.core.stages import ModelJob, ModelRun
from banquet.inference.client import TorchServeClient
from banquet.inference.readiness import run_canary

ARCHIVE = "probe.mar"
CATALOGUE = "0123456789abcdef"
CONFIG = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nresponseTimeout: 2\nstartupTimeout: 60\nmaxRetryTimeoutInSec: 86400\n"


def write_archive(store: Path) -> None:
    about = {"modelName": "probe", "modelVersion": "r1", "handler": "probe_handler.py", "configFile": "model-config.yaml"}
    with zipfile.ZipFile(store / ARCHIVE, "w") as archive:
        archive.write(Path(__file__).with_name("probe_handler.py"), "probe_handler.py")
        archive.writestr("model-config.yaml", CONFIG)
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"createdOn": "today", "runtime": "python", "model": about}))


def job(behaviour: str = CATALOGUE, history: tuple[int, ...] = (1, 2, 3), seen: tuple[int, ...] = (), limit: int = 2) -> ModelJob:
    arrays = {"history": history, "seen": seen, "limit": (limit,)}
    return ModelJob("probe", behaviour, {name: np.array(values, np.int32) for name, values in arrays.items()})


async def until_ready(client: TorchServeClient, patience_s: float = 60.0) -> ModelRun:
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            return await run_canary(client, job(), 2.0)
        except StageFailed:
            if time.monotonic() > give_up_s:
                raise
            await asyncio.sleep(0.05)
