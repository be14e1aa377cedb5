"""Puts the parts of a gateway together; the only module that knows every one of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from banquet.api.operations import CATALOGUE_UPDATE
from banquet.app.canary import INPUTS, PATIENCE_S, canary_job
from banquet.app.deployer import Deployer
from banquet.app.handover import Handover
from banquet.app.live_release import LiveRelease
from banquet.app.live_releases import LiveReleases
from banquet.app.loader import Loader, Places
from banquet.app.model_hosts import open_model_host, torchserve_address
from banquet.app.model_server import Server
from banquet.app.placements import read_placements
from banquet.app.privacy import pseudonyms_in_force
from banquet.app.shadow import Shadow
from banquet.app.stages import Stages
from banquet.core.errors import BadSettings, StageFailed
from banquet.features.catalogue.follower import CatalogueFollower
from banquet.features.project.repo import FeatureRepo
from banquet.features.users.opening import open_user_reader
from banquet.feedback.erasures import ErasureBook
from banquet.feedback.event_log import FileEventLog
from banquet.inference.batcher import Batcher
from banquet.inference.configuration import TorchServeSettings as SupervisorSettings
from banquet.inference.lane import LaneLimits
from banquet.inference.readiness import run_canary
from banquet.inference.release_host import ReleaseHost
from banquet.inference.supervisor import TorchServe
from banquet.releases import registry
from banquet.releases.fitness import archive_name
from banquet.releases.guardrails import Limits
from banquet.releases.manifest import load
from banquet.stages.sinks.answer_log import AnswerLog
from banquet.stages.sinks.metrics import Metrics
from banquet.stages.sinks.served_log import ServedLog
from banquet.stages.sinks.user_defaults import UserDefaults
from banquet.stages.sources.popular import Popular
from banquet.stages.vectors import ItemVectors
from banquet.wire.manifest_file import ITEMS
from banquet.wire.tensors import unpack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from banquet.app.settings import Settings
    from banquet.core.catalogue import Catalogue
    from banquet.core.erasure import ErasureRequests
    from banquet.core.stages import ModelJob, ModelRun, Sink, UserReader
    from banquet.feedback.ports import EventLog
    from banquet.wire.manifest_file import Manifest

    # The catalogue in force, or None before the first.
    Now = Callable[[], Catalogue | None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway serves with. `checks` raise while a part does not work; `canaries` return the backend that answered."""

    releases: LiveReleases
    catalogue: Now
    events: EventLog
    erasures: ErasureRequests
    checks: Mapping[str, Callable[[], Awaitable[None]]]
    canaries: Mapping[str, Callable[[], Awaitable[str]]]


def lane_limits(settings: Settings) -> LaneLimits:
    told = settings.torchserve
    return LaneLimits(max_batch=told.max_batch, max_in_flight=told.max_in_flight, max_queued=told.max_queued)


def checked_release(settings: Settings) -> str:
    """The release to serve, by name.

    Raises `BadSettings` or `BadRelease` for whatever a gateway could not start with.
    """
    read_placements(settings.placements_file)
    FeatureRepo.open(settings.feature_repo)
    release = registry.resolve(settings.releases, settings.release or None)
    load(release)
    return release.name


def supervised(settings: Settings, release: str, number: int = 0) -> TorchServe:
    """One of our own TorchServes with the archives of the release to serve. Raises `BadSettings` or `BadRelease`."""
    told = settings.torchserve
    return TorchServe(
        SupervisorSettings(
            run_folder=settings.torchserve_folders[number],
            model_store=settings.model_store,
            archives=archives_of(release),
            worker_environment={
                "BANQUET_CATALOGUE_DIR": str(settings.catalogue.absolute()),
                "BANQUET_BACKEND": told.backend,
                "BANQUET_PRECISION": told.precision,
                "BANQUET_ENGINES_DIR": str(settings.engines.absolute()),
            },
            workers=told.workers,
            threads=told.threads,
            queue_size=told.queue_size,
        )
    )


def archives_of(release: str) -> dict[str, str]:
    """By model, as they are named in the model store."""
    return {model: archive_name(model, release) for model in INPUTS}


def deployer(settings: Settings, own: Sequence[TorchServe]) -> Deployer:
    """For the TorchServes that are reached by the settings; `own` are the supervised ones, in the same order."""
    servers = [
        Server(torchserve_address(host), one.log_file if one else None, one.gently if one else nullcontext)
        for host, one in zip_longest(settings.torchserve.reached, own)
    ]
    places = Places(settings.releases, settings.model_store, settings.catalogue)
    loader = Loader(servers, places, settings.torchserve.workers)

    def on_stable(release: str) -> None:
        for torchserve in own:
            torchserve.load_at_start(archives_of(release))

    return Deployer(settings.releases, settings.run_folder, loader, Limits(**settings.rollout.model_dump()), on_stable)


def read_release(release: Path) -> tuple[Manifest, ItemVectors]:
    """What a release says of itself, and its item vectors. Raises `BadRelease` when it is not as it was sealed."""
    manifest = load(release)
    vectors = unpack((release / ITEMS).read_bytes())[0]["vectors"]
    return manifest, ItemVectors(release.name, manifest.schema.item_ids, vectors)


def _served_log(settings: Settings) -> ServedLog:
    pseudonyms = pseudonyms_in_force(settings)
    return ServedLog(settings.served_folder, **settings.served.model_dump(), name_user=pseudonyms.of if pseudonyms else str)


def open_event_log(settings: Settings) -> EventLog:
    """Files of this machine, or a topic. Raises `BadSettings` when Kafka is wanted and its package is missing."""
    told = settings.events
    if not told.kafka_servers:
        return FileEventLog(settings.feedback / "log")
    try:
        from banquet.feedback.kafka import KafkaEventLog  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise BadSettings(f"events.kafka_servers is {told.kafka_servers!r}, but {error}; pip install 'banquet[kafka]'") from error
    return KafkaEventLog(told.kafka_servers, told.kafka_topic, told.kafka_options)


class Opening:
    """Opens releases on what all of them share: users, catalogue and sinks."""

    def __init__(self, settings: Settings, users: UserReader, sinks: tuple[Sink, ...], catalogue: Now) -> None:
        self._settings = settings
        self._placements = read_placements(settings.placements_file)
        self._shows_similar = any(source.kind == "similar" for one in self._placements.values() for source in one.sources)
        self._users = users
        self._sinks = sinks
        self._catalogue = catalogue

    async def open(self, release: str) -> LiveRelease:
        """Pipelines, lanes and breakers of its own. Raises `BadRelease` when its folder is not as it was sealed."""
        folder = registry.resolve(self._settings.releases, release)
        manifest, vectors = await asyncio.to_thread(read_release, folder)
        schema = manifest.schema
        in_force = self._catalogue()
        if in_force is not None and self._shows_similar:
            # Otherwise the first query would wait for it, and the loop with it.
            await asyncio.to_thread(vectors.of, in_force)
        host = ReleaseHost(open_model_host(self._settings, folder), release)

        def first_canary(model: str) -> ModelJob | None:
            catalogue = self._catalogue()
            return None if catalogue is None else canary_job(model, catalogue.version, schema)

        async def ask(model: str, catalogue: Catalogue) -> ModelRun:
            return await run_canary(host, canary_job(model, catalogue.version, schema), PATIENCE_S)

        models = Batcher(host, lane_limits(self._settings), first_canary)
        stages = Stages(models, self._users, schema, vectors, (*self._sinks, UserDefaults(schema)), manifest.ranking_left_out)

        async def close() -> None:
            await models.close()
            await host.close()

        return LiveRelease(
            release=release,
            schema=schema,
            placements={name: stages.pipeline(name, placement) for name, placement in self._placements.items()},
            rank=stages.rank(),
            similar=stages.similar(),
            ask=ask,
            warm=vectors.warm,
            close=close,
        )


@asynccontextmanager
async def open_parts(settings: Settings, name: str = "0") -> AsyncIterator[Parts]:
    """Open everything a gateway serves with, and close it again. Raises `BadSettings` or `BadRelease` before anything serves.

    A release named in the settings stays; otherwise the gateway, by its `name`, follows the deployer.
    """
    release = registry.resolve(settings.releases, settings.release or None)
    live: LiveReleases | None = None

    def warm(catalogue: Catalogue) -> None:
        for one in live.all() if live is not None else ():
            one.warm(catalogue)

    follower = CatalogueFollower(
        settings.catalogue, prepare=[Popular(limit=1).first, warm], gate=True, fresh_s=settings.features.freshness_s
    )
    follower.start()
    repo = FeatureRepo.open(settings.feature_repo)
    its = settings.features
    users = open_user_reader(repo, settings.catalogue, its.user_read_ms / 1e3, its.mode, its.context)
    events = open_event_log(settings)
    served_log = _served_log(settings) if settings.served_log else None
    sinks: tuple[Sink, ...] = (Metrics(), AnswerLog(), *((served_log,) if served_log else ()))
    opening = Opening(settings, users, sinks, follower.current)
    shadow = Shadow(settings.max_latency_ms / 1e3)
    live = LiveReleases(opening.open, shadow, settings.run_folder if settings.rolls_out else None, name)
    await live.start(release.name)
    handover = Handover(follower, live.all, list(INPUTS))

    async def users_can_be_read() -> None:
        await users.read("canary")

    def canary(model: str) -> Callable[[], Awaitable[str]]:
        async def answered() -> str:
            catalogue = follower.current()
            if catalogue is None:
                raise StageFailed("no_catalogue", "waiting for the catalogue")
            stable = live.stable
            run = await stable.ask(model, catalogue)
            if run.release != stable.release:
                raise StageFailed("release_mismatch", f"the host has {run.release} of {model}, this gateway {stable.release}")
            return run.backend

        return answered

    tasks = [
        asyncio.create_task(handover.watch(), name="catalogue handover"),
        asyncio.create_task(live.follow(), name="follow the deployer"),
    ]
    try:
        yield Parts(
            releases=live,
            catalogue=follower.current,
            events=events,
            erasures=ErasureBook(settings.erasures),
            checks={"catalogue": handover.check_in_force, "users": users_can_be_read, CATALOGUE_UPDATE: handover.check_newest},
            canaries={model: canary(model) for model in INPUTS},
        )
    finally:
        for task in tasks:
            task.cancel()
        await events.close()
        await users.aclose()
        await live.close()
        if served_log is not None:
            served_log.close()
        follower.stop()
