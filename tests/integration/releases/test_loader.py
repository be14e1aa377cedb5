"""Releases loaded beside one another in a real TorchServe, and those that cannot be."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from banquet.app.canary import INPUTS, canaries_of
from banquet.app.loader import Loader, Places
from banquet.app.model_server import Server
from banquet.core.errors import BadRelease, StageFailed
from banquet.inference.configuration import TorchServeSettings
from banquet.inference.stacking import stack
from banquet.inference.supervisor import TorchServe
from banquet.releases import mar
from banquet.releases.archive import build
from banquet.wire.catalogue_file import read_pointer
from tests.release_factory import make_catalogue, make_release

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Places:
    folder = tmp_path_factory.mktemp("loader")
    make_catalogue(folder / "catalogue")
    for seed in (1, 0):
        build(make_release(folder / "releases", seed=seed), folder / "store")
    return Places(folder / "releases", folder / "store", folder / "catalogue")


@pytest.fixture(scope="module")
def stable(places) -> str:
    return make_release(places.releases, seed=0).name


@pytest.fixture(scope="module")
def other(places, stable) -> str:
    return next(folder.name for folder in places.releases.iterdir() if folder.is_dir() and folder.name != stable)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def torchserve(places, stable):
    settings = TorchServeSettings(
        run_folder=places.releases.parent / "run",
        model_store=places.model_store,
        archives={model: f"{model}-{stable}.mar" for model in INPUTS},
        worker_environment={"BANQUET_CATALOGUE_DIR": str(places.catalogue)},
        heap_mb=128,
    )
    server = TorchServe(settings)
    await server.start()
    yield server
    await server.stop(drain_s=0)


@pytest_asyncio.fixture(loop_scope="module")
async def loader(request, torchserve, places):
    """As for our own TorchServe, or by gRPC as for one elsewhere."""
    own = getattr(request, "param", "unix") == "unix"
    address = torchserve.address if own else torchserve.grpc_address
    loader = Loader([Server(address, torchserve.log_file, torchserve.gently)], places, workers=1)
    await until_managed(loader)
    yield loader
    await loader.close()


async def until_managed(loader: Loader) -> None:
    """TorchServe answers for jobs a moment before it can be managed."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await loader.loaded()
            except StageFailed:
                await asyncio.sleep(0.1)


def altered(store: Path, model: str, release: str, entry: str, content: bytes, *, seal: bool) -> bytes:
    """Exchange an entry of an archive, with or without its checksum; gives the archive as it was."""
    path = store / f"{model}-{release}.mar"
    before = path.read_bytes()
    with zipfile.ZipFile(path) as zipped:
        entries = {name: zipped.read(name) for name in zipped.namelist()}
    entries[entry] = content
    if seal:
        del entries[mar.MAR_MANIFEST]
        mar.write(path, model, release, mar.inspect(path).created_at, entries)
    else:
        with zipfile.ZipFile(path, "w") as zipped:
            for name, body in entries.items():
                zipped.writestr(name, body)
    return before


@pytest.mark.parametrize("loader", ["unix", "grpc"], indirect=True)
async def test_two_releases_serve_side_by_side_and_one_goes(loader, stable, other, places):
    """Each answers as itself with its own numbers; unloading one leaves the other; the default follows."""
    (server,) = loader._servers
    said = []
    await loader.load(stable, said.append)
    await loader.load(other, said.append)
    assert loader.is_proven(other)
    assert await loader.loaded() == {release: set(INPUTS) for release in (stable, other)}
    jobs = canaries_of(places.releases / stable)
    catalogue = read_pointer(places.catalogue).version
    arrays = {name: stack([jobs(name, catalogue).arrays]) for name in INPUTS}
    answers = {
        release: await server.bound_to(release).run("cascade", catalogue, arrays["cascade"], 5.0) for release in (stable, other)
    }
    assert [answer.run.release for answer in answers.values()] == [stable, other]
    assert not (answers[stable].arrays["ranking"] == answers[other].arrays["ranking"]).all()
    with pytest.raises(StageFailed):
        await loader.unload(stable)
    await loader.make_default(stable)
    await loader.unload(other)
    assert await loader.loaded() == {stable: set(INPUTS)}
    with pytest.raises(StageFailed, match="unavailable"):
        await server.bound_to(other).run("cascade", catalogue, arrays["cascade"], 5.0)
    assert f"loading {next(iter(INPUTS))}" in said


async def test_a_changed_byte_is_refused_before_torchserve_hears_of_it(loader, stable, other, places):
    """Whoever changed the archive did not change its checksums."""
    before = altered(places.model_store, "cascade", other, "cascade.py", b"import os", seal=False)
    try:
        with pytest.raises(BadRelease, match=rf"cascade-{other}\.mar: cascade\.py changed; build the archive again"):
            await loader.load(other, lambda _: None)
    finally:
        (places.model_store / f"cascade-{other}.mar").write_bytes(before)
    assert other not in await loader.loaded()


async def test_a_handler_that_crashes_on_load_is_refused_with_its_last_words(loader, stable, other, places):
    """What was loaded of the release is told, to be unloaded; the stable one does not notice."""
    before = altered(places.model_store, "retrieval", other, "retrieval.py", b"raise RuntimeError('no such luck')\n", seal=True)
    try:
        with pytest.raises(BadRelease, match="handler of retrieval could not be loaded: no such luck"):
            await loader.load(other, lambda _: None)
    finally:
        (places.model_store / f"retrieval-{other}.mar").write_bytes(before)
    assert not loader.is_proven(other)
    loaded = await loader.loaded()
    assert loaded[stable] == set(INPUTS)
    await loader.unload(other)


async def test_a_model_that_loads_and_fails_its_canary_is_refused(loader, stable, other, places):
    """Its worker is up, and answers nonsense."""
    handler = b"class H:\n def initialize(self, context): pass\n def handle(self, data, context): return [b'what?'] * len(data)\n"
    before = altered(places.model_store, "retrieval", other, "retrieval.py", handler, seal=True)
    try:
        with pytest.raises(BadRelease, match="retrieval failed its canary: model_error"):
            await loader.load(other, lambda _: None)
    finally:
        (places.model_store / f"retrieval-{other}.mar").write_bytes(before)
    await loader.unload(other)


async def test_a_worker_serves_at_its_own_priority(torchserve, loader, stable):
    """What was nicer while it loaded was a thread of its own."""
    children = [one for one in psutil.Process(torchserve.pid).children() if one.status() != psutil.STATUS_ZOMBIE]
    workers = [one for one in children if "model_service_worker" in " ".join(one.cmdline())]
    assert len(workers) == len(INPUTS)
    own = psutil.Process().nice()
    assert {worker.nice() for worker in workers} == {own}
