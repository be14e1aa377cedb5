"""`banquet release engines`: TensorRT plans, built before a worker with the GPU asks for them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handlers.engines.trt_library import Library


def engines(
    release: Annotated[str | None, typer.Option("--release", metavar="VERSION", help="By default the one in force.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="SM", help="A GPU's compute capability, such as sm86, sm89 or sm120; by default this machine's."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of matrix products: `fp32`, `fp16` or `bf16`.")] = "fp32",
    releases: Annotated[Path, typer.Option("--releases", help="Folder of the releases.")] = Path("var/releases"),
    engines_dir: Annotated[
        Path, typer.Option("--engines", help="Folder of the plans; workers have it as BANQUET_ENGINES_DIR.")
    ] = Path("var/engines"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Build the TensorRT plans of a release for kinds of GPU; this machine needs none of them. What is there stays as it is."""
    from banquet.app.tables import plain_console, show
    from banquet.core.errors import BadSettings
    from banquet.releases import registry
    from banquet.releases.manifest import verify
    from handlers.engines.engine import EngineFailed
    from handlers.engines.precision import PRECISIONS

    if precision not in PRECISIONS:
        raise BadSettings(f"--precision {precision!r} is not one of: {', '.join(PRECISIONS)}")
    folder = registry.resolve(releases, release)
    verify(folder)
    console = plain_console(stderr=as_json)
    try:
        library, targets = _aim(target or [])
        made = list(_built(folder, library, targets, precision, engines_dir, console))
    except EngineFailed as error:
        raise BadSettings(str(error)) from error
    if as_json:
        typer.echo(json.dumps({"release": folder.name, "package": f"{library.package} {library.version}", "plans": made}))
    else:
        show(_table(f"Plans of release {folder.name}, {library.package} {library.version}", made))


def _aim(wanted: Sequence[str]) -> tuple[Library, list[str]]:
    """The library that can build, and what for. Raises `BadSettings` or `EngineFailed`."""
    import torch

    from banquet.core.errors import BadSettings
    from handlers.engines.trt_library import find_library

    if not wanted and not torch.cuda.is_available():
        raise BadSettings("this machine has no GPU to build for; name one, such as --target sm89")
    library = find_library(for_target=bool(wanted))
    if not wanted:
        return library, ["sm{}{}".format(*torch.cuda.get_device_capability())]
    targets = [target.lower() for target in dict.fromkeys(wanted)]
    for target in targets:
        if target not in library.targets:
            raise BadSettings(
                f"--target {target}: {library.package} {library.version} builds for {', '.join(library.targets)}; "
                "for another GPU install `tensorrt` on its machine and leave out --target"
            )
    return library, targets


def _built(
    folder: Path, library: Library, targets: Sequence[str], precision: str, engines_dir: Path, console: Any
) -> Iterator[dict[str, Any]]:
    from rich.progress import Progress

    from handlers.engines.plan_cache import PlanCache
    from handlers.engines.plans import PLANNED, build_plan, recipe_for
    from handlers.release_files import ReleaseFiles

    files, cache = ReleaseFiles(folder, PLANNED), PlanCache(engines_dir)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("building", total=len(PLANNED) * len(targets))
        for target in targets:
            for graph in PLANNED:
                progress.update(task, description=f"{graph} for {target}")
                recipe, began_s = recipe_for(files, graph, library, target=target, precision=precision), time.perf_counter()
                cached = cache.get(recipe, lambda recipe=recipe: build_plan(recipe, library))  # type: ignore[misc]
                progress.advance(task)
                yield {
                    "graph": graph,
                    "target": target,
                    "precision": precision,
                    "profiles": cached.manifest["profiles"],
                    "bytes": cached.manifest["bytes"],
                    "seconds": round(time.perf_counter() - began_s, 2),
                    "written": cached.built,
                    "folder": str(cached.folder),
                }


def _table(title: str, plans: Sequence[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in ("graph", "target", "precision", "profiles", "bytes", "seconds", "written"):
        table.add_column(name, justify="right" if name in ("bytes", "seconds") else "left", no_wrap=name == "graph")
    for plan in plans:
        shown = [plan["graph"], plan["target"], plan["precision"], "\n".join(map(_spread, plan["profiles"]))]
        shown += [f"{plan['bytes']:,}", f"{plan['seconds']:.2f}", "yes" if plan["written"] else "no"]
        table.add_row(*shown)
    return table


def _spread(profile: dict[str, list[int]]) -> str:
    """An axis and its sizes, smallest, tuned for and largest: B 1/16/64 C 1/512/1024 L 50."""
    return " ".join(f"{axis} {'/'.join(map(str, dict.fromkeys(sizes)))}" for axis, sizes in profile.items())
