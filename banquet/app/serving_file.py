"""What the deployer and the gateways tell each other, in small files of `<workspace>/run`.

serving.json            from the deployer: the releases that can be served, and the shares
gateway-<name>.json     from each gateway, every second and whenever it has followed: what it has open, and how its answers went
deployer.json           from the deployer, for the command line: what it is at, and up to which revision all is done
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from banquet.releases.rollout import Candidate
from banquet.releases.tally import Tally
from banquet.wire.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SERVING = "serving.json"
DEPLOYER = "deployer.json"
# A gateway that has not written for so long is gone.
GONE_S = 5.0
_SHARES = 2.0**64


@dataclass(frozen=True, slots=True)
class Serving:
    """`opens` are the releases to hold ready, `sequence` counts the changes; tallies of another `phase` are not compared."""

    sequence: int
    stable: str
    candidate: Candidate | None = None
    opens: tuple[str, ...] = ()
    phase: int = 0

    def gives_candidate(self, user_id: str) -> bool:
        """Whether a user belongs to the candidate's share: the same users each time, others for another candidate."""
        return self.candidate is not None and belongs(user_id, self.candidate.release, self.candidate.percent)


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """`failed` says of releases that could not be opened why."""

    at_s: float
    sequence: int
    phase: int
    opened: tuple[str, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    tallies: Mapping[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeployerReport:
    """`settled` is the revision of the wanted state up to which everything is done; `step` says what is being done now."""

    at_s: float
    settled: int
    step: str = ""


def belongs(user_id: str, release: str, percent: float) -> bool:
    """Whether the user's place among all, by a hash salted with the release, lies within the share. No user belongs to none."""
    if not user_id or percent <= 0:
        return False
    place = int.from_bytes(blake2b(f"{release}\0{user_id}".encode(), digest_size=8).digest(), "big")
    return place < percent / 100 * _SHARES


def write_serving(run: Path, serving: Serving) -> None:
    _write(run / SERVING, serving)


def read_serving(run: Path) -> Serving | None:
    """None when there is none that can be read."""
    body = _read(run / SERVING)
    try:
        told = body["candidate"]
        return Serving(
            int(body["sequence"]),
            str(body["stable"]),
            None if told is None else Candidate(**told),
            tuple(body["opens"]),
            int(body["phase"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def write_gateway(run: Path, name: str, report: GatewayReport) -> None:
    _write(run / f"gateway-{name}.json", report)


def read_gateways(run: Path) -> list[GatewayReport]:
    """Of the gateways that live; a file that was left behind is none."""
    since_s = time.time() - GONE_S
    reports = (_gateway(_read(path)) for path in run.glob("gateway-*.json"))
    return [report for report in reports if report is not None and report.at_s > since_s]


def write_deployer(run: Path, report: DeployerReport) -> None:
    _write(run / DEPLOYER, report)


def read_deployer(run: Path) -> DeployerReport | None:
    """None when there is none that can be read."""
    try:
        return DeployerReport(**_read(run / DEPLOYER))
    except TypeError:
        return None


def tallies_of(reports: Iterable[GatewayReport], release: str, phase: int) -> list[Tally]:
    """What the gateways counted of a release since the phase began."""
    return [report.tallies[release] for report in reports if report.phase == phase and release in report.tallies]


def _gateway(body: Mapping[str, Any]) -> GatewayReport | None:
    try:
        tallies = {release: Tally.from_json(tally) for release, tally in body["tallies"].items()}
        return GatewayReport(
            float(body["at_s"]), int(body["sequence"]), int(body["phase"]), tuple(body["opened"]), dict(body["failed"]), tallies
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _write(path: Path, told: Serving | GatewayReport | DeployerReport) -> None:
    """Not synced: after a crash of the machine it is told anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(told)).encode(), durable=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}
