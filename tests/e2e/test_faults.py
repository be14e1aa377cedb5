"""What dies comes back, and callers are answered meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import psutil
from banquet_client import BanquetClient

from tests.e2e.conftest import Served, banquet, environment
from tests.e2e.test_serving import known_users


def until_whole(client: BanquetClient, user: str, patience_s: float) -> tuple[float, set[str]]:
    """Asks until an answer is whole again: seconds it took, reasons met on the way. Any failed request fails the test."""
    began_s = time.monotonic()
    reasons: set[str] = set()
    while time.monotonic() - began_s < patience_s:
        answer = client.recommend(user, placement="home", limit=5)
        assert len(answer.items) == 5
        if not answer.degradations:
            return time.monotonic() - began_s, reasons
        reasons |= {degradation.reason for degradation in answer.degradations}
        time.sleep(0.02)
    raise AssertionError(f"still degraded after {patience_s} s: {reasons}")


def torchserve(served: Served) -> list[psutil.Process]:
    return [one for one in served.find("org.pytorch.serve.ModelServer") if "java" in one.name()]


def test_a_killed_worker_is_back_without_a_restart_of_anything_else(served: Served, client: BanquetClient) -> None:
    """kill -9 of the cascade worker: every request is answered, degraded until TorchServe has a new worker."""
    (java,) = torchserve(served)
    workers = [child for child in java.children() if "model_service_worker" in " ".join(child.cmdline())]
    for worker in workers:
        worker.kill()
    until_whole(client, known_users(served)[0], 60)
    assert [one.pid for one in torchserve(served)] == [java.pid]


def test_a_killed_torchserve_is_back_by_itself(served: Served, client: BanquetClient) -> None:
    """kill -9 of the whole TorchServe: popular answers meanwhile, and the answers say why."""
    torchserve(served)[0].kill()
    time.sleep(0.1)
    _, reasons = until_whole(client, known_users(served)[0], 90)
    assert "unavailable" in reasons


def test_a_stopped_torchserve_costs_the_models_not_the_answer(served: Served, client: BanquetClient) -> None:
    """A TorchServe that says nothing: popular answers within the deadline, and all is whole again once it goes on."""
    (java,) = torchserve(served)
    java.suspend()
    try:
        began_s = time.monotonic()
        answer = client.recommend(known_users(served)[0], placement="home", limit=5, timeout_s=0.5)
        assert time.monotonic() - began_s < 0.5
        assert len(answer.items) == 5
        assert ("cascade", "timeout") in [(lost.stage, lost.reason) for lost in answer.degradations]
    finally:
        java.resume()
    until_whole(client, known_users(served)[0], 30)


def test_a_torchserve_that_runs_already_is_used(served: Served) -> None:
    """A second `banquet up` talks to the first one's TorchServe over gRPC, with its keys, and starts none of its own."""
    folder = served.folder / "var/torchserve"
    lines = (line.split("=", 1) for line in (folder / "config.properties").read_text().splitlines())
    properties = dict(lines)
    settings = {
        "address": f"127.0.0.1:{properties['grpc_inference_port']}",
        "management": f"127.0.0.1:{properties['grpc_management_port']}",
        "key_file": str(folder / "key_file.json"),
    }
    path = served.folder / "remote.yaml"
    path.write_text(json.dumps({"torchserve": settings}))
    second = Served(served.folder, flags=("--settings", str(path)))
    try:
        second.start()
        with BanquetClient(second.address, timeout_s=2.0) as client:
            until_whole(client, known_users(served)[0], 10)
        assert not any("ModelServer" in " ".join(one.cmdline()) for one in second.descendants())
    finally:
        second.stop()


def test_models_in_process_need_no_torchserve(served: Served, client: BanquetClient) -> None:
    """A second `banquet up` runs the models itself: the same answers, and neither JVM nor workers below it."""
    path = served.folder / "inprocess.yaml"
    path.write_text("models: inprocess\n")
    second = Served(served.folder, flags=("--settings", str(path)))
    user = known_users(served)[0]
    try:
        second.start()
        with BanquetClient(second.address, timeout_s=2.0) as own:
            until_whole(own, user, 10)
            answers = [one.recommend(user, placement="home", limit=20) for one in (own, client)]
        commands = [" ".join(one.cmdline()) for one in second.descendants()]
        assert not any("ModelServer" in command or "model_service_worker" in command for command in commands)
    finally:
        second.stop()
    assert len({answer.item_ids for answer in answers}) == 1
    assert answers[0].release == answers[1].release


def test_a_killed_gateway_loses_no_acknowledged_event(served: Served, client: BanquetClient) -> None:
    """kill -9 of the gateway while events are recorded: each acknowledged one is in the user's features afterwards."""
    user = "kill-nine"
    items = [item.item_id for item in client.recommend(user, placement="home", limit=30).items]
    script = (
        "import sys; from banquet_client import BanquetClient, Event\n"
        "with BanquetClient(sys.argv[1]) as client:\n"
        "    for item in sys.argv[3:]:\n"
        "        client.record([Event(user_id=sys.argv[2], item_id=item, type='click')], timeout_s=20)\n"
        "        print(item, flush=True)\n"
    )
    recorder = subprocess.Popen(
        [sys.executable, "-c", script, served.address, user, *items], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert recorder.stdout is not None
    acknowledged = [recorder.stdout.readline().strip() for _ in range(10)]
    for gateway in served.find("banquet.app.gateway"):
        gateway.kill()
    acknowledged += recorder.stdout.read().split()
    assert recorder.wait(60) == 0
    assert acknowledged == items
    served.wait_until_ready()
    began_s = time.monotonic()
    seen: set[str] = set()
    while time.monotonic() - began_s < 20 and not seen >= set(items):
        seen = set(items) - set(client.recommend(user, placement="home", limit=100).item_ids)
        time.sleep(0.2)
    assert seen == set(items)


def test_sigterm_leaves_no_process_behind(served: Served) -> None:
    """Everything that `banquet up` started ends with it, and it starts again."""
    started = served.descendants()
    assert len(started) >= 5
    assert served.process is not None
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    _, alive = psutil.wait_procs(started, timeout=5)
    assert not alive, [one.cmdline() for one in alive]
    served.start()


def test_a_port_in_use_is_one_clear_error(served: Served) -> None:
    """A second `banquet up` on the port says so and leaves the first alone."""
    done = banquet(served.folder, "up", "--port", str(served.port), "--metrics-port", "0")
    assert done.returncode == 2
    assert f"port {served.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_settings_file_names_the_key(served: Served) -> None:
    """Unknown keys and values out of range are exit code 2, in one line."""
    path = served.folder / "wrong.yaml"
    path.write_text("gatways: 2\n")
    done = banquet(served.folder, "up", "--settings", str(path))
    assert done.returncode == 2
    assert "gatways" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_gateway_is_exit_code_1(served: Served) -> None:
    """A gateway that cannot be reached is not the caller's mistake."""
    done = banquet(served.folder, "status", "--address", "127.0.0.1:9")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
