"""What is wanted of the releases: which one is stable, which one is its candidate, and what the verbs make of that.

No files and no servers here: `rollout_file` keeps it, the deployer makes it so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from banquet.core.errors import BadRelease

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a candidate is there for: only to be loaded; to serve a share; to be compared on a share; to become the stable release.
Mode = Literal["loaded", "canary", "shadow", "promote"]
MODES: tuple[Mode, ...] = get_args(Mode)
Verb = Literal["deploy", "canary", "shadow", "promote", "rollback", "train", "promoted", "refused"]
By = Literal["person", "guardrail", "deployer"]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release beside the stable one, and its share of the users in percent."""

    release: str
    mode: Mode = "loaded"
    percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """The wanted state. `previous` is what a rollback without a candidate goes back to; `revision` counts the changes."""

    stable: str = ""
    candidate: Candidate | None = None
    previous: str = ""
    revision: int = 0

    def deploy(self, release: str) -> Rollout:
        """Load a release beside the stable one; it serves nobody yet."""
        return self._with(Candidate(self._free_for(release)))

    def canary(self, release: str, percent: float) -> Rollout:
        """Let it serve a share of the users."""
        return self._with(Candidate(self._free_for(release), "canary", _share(percent)))

    def shadow(self, release: str, percent: float) -> Rollout:
        """Ask it what a share of the users were answered, for comparison alone."""
        return self._with(Candidate(self._free_for(release), "shadow", _share(percent)))

    def promote(self, release: str) -> Rollout:
        """Make it the stable release as soon as it works."""
        return self._with(Candidate(self._free_for(release), "promote"))

    def rollback(self) -> Rollout:
        """Drop the candidate; without one, go back to the release before the stable one."""
        if self.candidate is not None:
            return self._with(None)
        if not self.previous:
            raise BadRelease(
                "there is no candidate, and no release before the stable one to go back to; see `banquet release list`"
            )
        return self._with(Candidate(self.previous, "promote"))

    def promoted(self) -> Rollout:
        """The candidate has become the stable release."""
        assert self.candidate is not None, "there is one to promote"
        return replace(self._with(None), stable=self.candidate.release, previous=self.stable)

    def put_in_force(self, release: str) -> Rollout:
        """For a time when nothing is being served: the stable release from now on, without a candidate."""
        if release == self.stable:
            return self if self.candidate is None else self._with(None)
        return replace(self._with(None), stable=release, previous=self.stable)

    def state_of(self, release: str) -> str:
        """In one or two words; empty for a release that nothing is wanted of."""
        if release == self.stable:
            return "stable"
        candidate = self.candidate
        if candidate is not None and release == candidate.release:
            return f"{candidate.mode} {candidate.percent:g} %" if candidate.percent else candidate.mode
        return "previous" if release == self.previous else ""

    def to_json(self) -> dict[str, Any]:
        candidate = self.candidate
        return {
            "format": FORMAT,
            "revision": self.revision,
            "stable": self.stable,
            "previous": self.previous,
            "candidate": None
            if candidate is None
            else {"release": candidate.release, "mode": candidate.mode, "percent": candidate.percent},
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Rollout:
        """Raises `ValueError`, `KeyError` or `TypeError` for anything else than `to_json` makes."""
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']!r}; this Banquet reads {FORMAT}")
        told = body["candidate"]
        candidate = None if told is None else Candidate(str(told["release"]), told["mode"], float(told["percent"]))
        if candidate is not None and candidate.mode not in MODES:
            raise ValueError(f"mode {candidate.mode!r}; allowed: {', '.join(MODES)}")
        return cls(str(body["stable"]), candidate, str(body["previous"]), int(body["revision"]))

    def _with(self, candidate: Candidate | None) -> Rollout:
        return replace(self, candidate=candidate, revision=self.revision + 1)

    def _free_for(self, release: str) -> str:
        """The release, if it may become the candidate."""
        if not self.stable:
            raise BadRelease(f"no release is stable yet, so {release} has none to be compared with; start with `banquet train`")
        if release == self.stable:
            raise BadRelease(f"release {release} is the stable one already; name another (`banquet release list`)")
        if self.candidate is not None and self.candidate.release != release:
            raise BadRelease(
                f"release {self.candidate.release} is the candidate ({self.candidate.mode}); promote it or roll it back first"
            )
        return release


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history: what was done to which release, why and by whom; `revision` is the state it led to."""

    time_s: float
    verb: Verb
    release: str
    why: str = ""
    by: By = "person"
    revision: int = 0

    def in_words(self) -> str:
        """What was done, by whom if not by a person, and why."""
        by = "" if self.by == "person" else f" by the {self.by}"
        return f"{self.verb}{by}{': ' if self.why else ''}{self.why}"

    def to_json(self) -> dict[str, Any]:
        return {
            "time_s": round(self.time_s, 3),
            "verb": self.verb,
            "release": self.release,
            "why": self.why,
            "by": self.by,
            "revision": self.revision,
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Entry:
        return cls(
            float(body["time_s"]),
            body["verb"],
            str(body["release"]),
            str(body["why"]),
            body["by"],
            int(body["revision"]),
        )


def _share(percent: float) -> float:
    if not 0 < percent <= 100:  # noqa: PLR2004 - per cent
        raise BadRelease(f"percent is {percent:g}; allowed: above 0, at most 100")
    return percent
