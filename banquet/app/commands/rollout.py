"""`banquet release deploy|canary|shadow|promote|rollback|history`: what is wanted of the releases, and how far it is."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banquet.app.commands.gateway import EXIT_BAD_INPUT, EXIT_FAILED, fail
from banquet.app.commands.release import MODEL_STORE, RELEASES, Json, ModelStore, Releases
from banquet.core.errors import BadRelease

if TYPE_CHECKING:
    from collections.abc import Callable

    from banquet.releases.rollout import Entry, Rollout, Verb

Version = Annotated[str, typer.Argument(metavar="VERSION", help="The release; see `banquet release list`.")]
Optional = Annotated[str | None, typer.Argument(metavar="[VERSION]", help="The release; by default the candidate.")]
Percent = Annotated[float, typer.Option(help="Share of the users, above 0, at most 100; the same users each time.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait until it is done; 0: do not wait.")]
WAIT_S = 300.0
LOOK_S = 0.1
SHARE = 5.0


def add_to(app: typer.Typer) -> None:
    for command in (deploy, canary, shadow, promote, rollback, history):
        app.command()(command)


def deploy(
    version: Version,
    releases: Releases = RELEASES,
    model_store: ModelStore = MODEL_STORE,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Load a release beside the stable one, and see that it works; it serves nobody yet."""
    _check(releases, version, model_store)
    _want(releases, "deploy", version, lambda state: state.deploy(version), wait, as_json)


def canary(
    version: Optional = None,
    percent: Percent = SHARE,
    releases: Releases = RELEASES,
    model_store: ModelStore = MODEL_STORE,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Let a release serve a share of the users; it is rolled back by itself when it does worse than the stable one."""
    chosen = _chosen(releases, version, model_store)
    _want(releases, "canary", chosen, lambda state: state.canary(chosen, percent), wait, as_json)


def shadow(
    version: Optional = None,
    percent: Percent = SHARE,
    releases: Releases = RELEASES,
    model_store: ModelStore = MODEL_STORE,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Ask a release what a share of the users were answered, to compare the two in the metrics; nobody is served by it."""
    chosen = _chosen(releases, version, model_store)
    _want(releases, "shadow", chosen, lambda state: state.shadow(chosen, percent), wait, as_json)


def promote(
    version: Optional = None,
    releases: Releases = RELEASES,
    model_store: ModelStore = MODEL_STORE,
    wait: Wait = WAIT_S,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also a release that was found to be worse than popularity.")] = False,
    as_json: Json = False,
) -> None:
    """Make a release the stable one, as soon as it works; the one before it is drained and unloaded."""
    chosen = _chosen(releases, version, model_store)
    why = _judged(releases, chosen, anyway=anyway, quiet=as_json)
    _want(releases, "promote", chosen, lambda state: state.promote(chosen), wait, as_json, why)


def rollback(
    why: Annotated[str, typer.Option("--why", help="Kept in the history.")] = "",
    releases: Releases = RELEASES,
    wait: Wait = WAIT_S,
    as_json: Json = False,
) -> None:
    """Drop the candidate; without one, make the release before the stable one stable again."""
    from banquet.releases import rollout_file

    before = rollout_file.read(releases)
    leaving = before.candidate.release if before.candidate else before.stable
    _want(releases, "rollback", leaving, lambda state: state.rollback(), wait, as_json, why)


def history(
    releases: Releases = RELEASES,
    last: Annotated[int, typer.Option(min=1, help="How many of the latest changes.")] = 30,
    as_json: Json = False,
) -> None:
    """Show what was done to the releases, when, why and by whom, oldest first."""
    from banquet.app.commands.release import print_table
    from banquet.releases import rollout_file

    entries = rollout_file.history(releases)[-last:]
    if as_json:
        typer.echo(json.dumps({"history": [entry.to_json() for entry in entries]}))
    elif entries:
        print_table(f"History of {releases}", [_row(entry) for entry in entries])
    else:
        typer.echo(f"No history in {releases}; it begins with `banquet train`.")


def _row(entry: Entry) -> dict[str, str]:
    at = datetime.fromtimestamp(entry.time_s, UTC).isoformat(sep=" ", timespec="seconds")
    return {"time": at.removesuffix("+00:00"), "verb": entry.verb, "release": entry.release, "by": entry.by, "why": entry.why}


def _chosen(releases: Path, version: str | None, model_store: Path) -> str:
    """The release named, checked, or the candidate."""
    from banquet.releases import rollout_file

    candidate = rollout_file.read(releases).candidate
    if version is None:
        if candidate is None:
            raise BadRelease("there is no candidate; name a release (`banquet release list`)")
        return candidate.release
    if candidate is None or candidate.release != version:
        _check(releases, version, model_store)
    return version


def _check(releases: Path, version: str, model_store: Path) -> None:
    """All that can be checked without a server, so that most mistakes end here."""
    from banquet.releases import registry
    from banquet.releases.fitness import check_files, check_schema
    from banquet.wire.catalogue_file import BadCatalogue, read_catalogue, read_pointer

    folder = registry.resolve(releases, version)
    check_files(folder, model_store)
    catalogue = releases.parent / "catalogue"
    try:
        pointer = read_pointer(catalogue)
        if pointer is not None:
            check_schema(folder, read_catalogue(catalogue, pointer.version).columns, pointer.version)
    except BadCatalogue as error:
        raise BadRelease(f"{catalogue}: {error}; start `banquet up`, whose builder repairs it") from error


def _judged(releases: Path, version: str, *, anyway: bool, quiet: bool) -> str:
    """What the history says of a promotion. Raises `BadRelease` for a release that is worse than popularity."""
    from banquet.releases import evaluations

    body = evaluations.read(releases, version)
    if body is None:
        if not quiet:
            typer.echo(f"Release {version} was never evaluated; `banquet evaluate --release {version}` tells how good it is.")
        return ""
    worse = evaluations.worse_than_popularity(body)
    if worse and not anyway:
        numbers = [
            f"{question['name']} ({evaluations.scores_in_words(question['banquet'])}, popularity "
            f"{evaluations.scores_in_words(question['popularity'])})"
            for question in body["questions"]
            if question["name"] in worse
        ]
        raise BadRelease(
            f"release {version} is worse than popularity, by HR@10 / NDCG@10, in {', '.join(numbers)}; "
            "train a better one, or promote it with --anyway"
        )
    return f"anyway: worse than popularity in {', '.join(worse)}" if worse else ""


def _want(
    releases: Path, verb: Verb, release: str, step: Callable[[Rollout], Rollout], wait_s: float, as_json: bool, why: str = ""
) -> None:
    """Write down what is wanted; then follow the deployer until it is so, or refused."""
    from banquet.releases import rollout_file

    wanted = rollout_file.change(releases, verb, release, step, why=why)
    deployer = rollout_file.has_deployer(releases)
    if deployer and wait_s:
        _follow(releases, wanted, release, wait_s, quiet=as_json)
    state = rollout_file.read(releases)
    if as_json:
        typer.echo(json.dumps({"verb": verb, "release": release, "applied": deployer and bool(wait_s), **state.to_json()}))
    elif not deployer:
        typer.echo("Nothing is being served here: it will be done by the next `banquet up`.")
    elif wait_s:
        candidate = "none" if state.candidate is None else f"{state.candidate.release}, {state.state_of(state.candidate.release)}"
        typer.echo(f"Done. Stable: {state.stable}; candidate: {candidate}.")


def _follow(releases: Path, wanted: Rollout, release: str, wait_s: float, *, quiet: bool) -> None:
    from banquet.app.serving_file import read_deployer
    from banquet.releases import rollout_file

    run = releases.parent / "run"
    until_s = time.monotonic() + wait_s
    told = ""
    while True:
        report = read_deployer(run)
        for entry in rollout_file.history(releases):
            if entry.revision > wanted.revision and entry.release == release and entry.verb == "refused":
                fail(f"release {release} is refused: {entry.why}", EXIT_BAD_INPUT)
        if report is not None and report.settled >= wanted.revision:
            return
        if report is not None and report.step not in ("", told):
            told = report.step
            if not quiet:
                typer.echo(told)
        if time.monotonic() > until_s or not rollout_file.has_deployer(releases):
            state = f"at last: {told}" if told else "the deployer has not begun"
            fail(f"not done within {wait_s:.0f} s ({state}); it goes on, see `banquet release history`", EXIT_FAILED)
        time.sleep(LOOK_S)
