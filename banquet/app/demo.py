"""From data to printed recommendations: every step that leads there, each done once."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from banquet_client import BanquetClient, ClientError, Event

from banquet.app.tables import answer_facts, answer_table, show
from banquet.core.errors import BadSettings, BanquetError
from banquet.wire.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from banquet_client import Answer

    from banquet.app.settings import Settings

START_PATIENCE_S = 180.0
CLICK_PATIENCE_S = 10.0
SHOWN_USERS = 3
SHOWN_ITEMS = 5


@dataclass
class Ledger:
    """What was made from what, so that a second run does none of it again; a JSON file in the workspace."""

    path: Path

    def once(self, step: str, key: str, made: Path, work: Callable[[], object]) -> None:
        """Do a step unless it was done with this key and the file it `made` is still that one; noted only after it succeeded."""
        done = json.loads(self.path.read_text()) if self.path.exists() else {}
        if done.get(step) == [key, _digest(made)]:
            print(f"  {step}: done already")
            return
        print(f"  {step} ...", flush=True)
        began_s = time.monotonic()
        work()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, json.dumps({**done, step: [key, _digest(made)]}, indent=1).encode())
        print(f"  {step}: {time.monotonic() - began_s:.0f} s")


def make(settings: Settings, data: Path | None, preset: str, seed: int) -> None:
    """Data, release, archives and features: whatever of it is missing or was made from something else."""
    from banquet.app.evaluation.after_training import evaluate_new
    from banquet.app.evaluation.tables import evaluation_table
    from banquet.app.placements import read_placements
    from banquet.features.offline.prepare import prepare
    from banquet.releases import registry
    from banquet.releases.archive import build
    from banquet.training.datasets.dataset import refuse_to_replace
    from banquet.training.datasets.importing import import_data
    from banquet.training.datasets.synthetic import synthesize
    from banquet.training.progress import Progress
    from banquet.training.train import TrainingOrder, train

    dataset = settings.workspace / "data"
    if data is not None and data.resolve() == dataset.resolve():
        raise BadSettings(f"--data {data} is where the demo keeps its data; name what it should import, or leave it out")
    ledger = Ledger(settings.workspace / "demo.json")
    source = "synthetic" if data is None else fingerprint(data)

    def write_data() -> None:
        refuse_to_replace(dataset)
        (synthesize(users=1000, items=500, events=40_000, seed=seed) if data is None else import_data(data)).write(dataset)

    # Which release is in force may change: rollouts are no reason to train again.
    trained = settings.workspace / "demo-release"

    def train_release() -> None:
        placements = read_placements(settings.placements_file)
        release = train(TrainingOrder(dataset, settings.releases, preset, seed)).name
        found = evaluate_new(dataset, settings.releases, release, seed, placements, Progress())
        show(evaluation_table(found, segments=False))
        trained.write_text(release)

    ledger.once("data", f"{source} {seed}", dataset / "dataset.json", write_data)
    trained_on = _digest(dataset / "dataset.json")
    ledger.once("train", f"{trained_on} {preset} {seed}", trained, train_release)
    # Both look for themselves whether there is anything to do.
    built = build(registry.resolve(settings.releases), settings.model_store)
    print(f"  archives: {'done' if any(archive.written for archive in built) else 'done already'}")
    print("  features ...", flush=True)
    prepared = prepare(dataset, settings.feature_repo, settings.catalogue)
    print(f"  features: {'done' if prepared.redone else 'done already'}")


def _digest(file: Path) -> str:
    return sha256_of(file) if file.exists() else ""


def fingerprint(data: Path) -> str:
    """Changes when a file of the data does."""
    if not data.exists():
        raise BadSettings(f"--data {data} does not exist; name a folder or file of data, or leave it out for synthetic data")
    files = sorted(data.rglob("*")) if data.is_dir() else [data]
    facts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files if path.is_file()]
    return hashlib.sha256("\n".join([str(data.resolve()), *facts]).encode()).hexdigest()[:16]


def tour(client: BanquetClient, users: list[str], logs: Path) -> None:
    """Show what some users see, click something, and show what changes."""
    for user in users:
        print_answer(client.recommend(user, placement="home", limit=SHOWN_ITEMS, explain=True), f"For {user} at home")
    user = users[0]
    before = client.recommend(user, placement="home", limit=SHOWN_ITEMS, explain=True)
    clicked = before.items[0].item_id
    client.record([Event(user_id=user, item_id=clicked, type="click", request_id=before.request_id, position=0)])
    after = before
    began_s = time.monotonic()
    # An answer without the user's row knows nothing of the click.
    while (clicked in after.item_ids or _without_user(after)) and time.monotonic() - began_s < CLICK_PATIENCE_S:
        time.sleep(0.02)
        after = client.recommend(user, placement="home", limit=SHOWN_ITEMS, explain=True)
    if clicked in after.item_ids:
        raise BanquetError(f"the click of {user} on {clicked} was not seen within {CLICK_PATIENCE_S:.0f} s; see {logs}")
    took_ms = (time.monotonic() - began_s) * 1e3
    print_answer(after, f"For {user} at home, {took_ms:.0f} ms after a click on {clicked}")
    print_answer(client.similar(clicked, limit=SHOWN_ITEMS, explain=True), f"Like {clicked}")


def _without_user(answer: Answer) -> bool:
    return any(left.stage == "users" and left.reason in ("timeout", "unavailable") for left in answer.degradations)


def print_answer(answer: Answer, heading: str) -> None:
    show(answer_table(answer, heading), answer_facts(answer))


@contextmanager
def served(settings: Settings, settings_file: Path | None, port: int) -> Iterator[BanquetClient]:
    """A client of `banquet up`, run as a child for as long as the `with` block lasts."""
    settings.logs.mkdir(parents=True, exist_ok=True)
    log = settings.logs / "up.log"
    command = [sys.executable, "-m", "banquet.app.cli", "up", "--port", str(port), "--metrics-port", "0"]
    if settings_file is not None:
        command += ["--settings", str(settings_file)]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own command
    try:
        with BanquetClient(f"127.0.0.1:{port}", timeout_s=2.0) as client:
            _wait_until_ready(client, process, log)
            yield client
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(client: BanquetClient, process: subprocess.Popen[bytes], log: Path) -> None:
    began_s = time.monotonic()
    while time.monotonic() - began_s < START_PATIENCE_S:
        if process.poll() is not None:
            raise BanquetError(f"banquet up ended with code {process.returncode}; its log: {log}")
        try:
            if client.status(timeout_s=1.0).ready:
                return
        except ClientError:
            pass
        time.sleep(0.2)
    raise BanquetError(f"banquet up was not ready within {START_PATIENCE_S:.0f} s; its logs: {log.parent}")
