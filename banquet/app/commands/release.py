"""`banquet release`: what was trained, as archives for TorchServe; whether it still is what was trained; and what serves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from banquet.app.commands.engines import engines
from banquet.app.commands.optimize import optimize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from banquet.wire.manifest_file import Manifest

app = typer.Typer(
    no_args_is_help=True, help="Build, inspect and verify releases, and their engines; deploy, try, promote and roll them back."
)

Releases = Annotated[Path, typer.Option("--releases", help="Folder of the releases.")]
ModelStore = Annotated[Path, typer.Option("--model-store", help="Folder of the archives.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Target = Annotated[
    str | None, typer.Argument(metavar="[VERSION|FILE.mar]", help="A release or an archive; by default the release in force.")
]
RELEASES = Path("var/releases")
MODEL_STORE = Path("model_store")
ARCHIVE = ".mar"
FACT = ["fact", "value"]
# More need the room between them.
MANY_COLUMNS = 5
INDEX = "release/index.json"

app.command()(engines)


@app.command()
def build(
    release: Annotated[str | None, typer.Option("--release", metavar="VERSION", help="By default the one in force.")] = None,
    releases: Releases = RELEASES,
    model_store: ModelStore = MODEL_STORE,
    codes: Annotated[
        str, typer.Option("--codes", help="How an index of many items stores them: int8, float16 or float32.")
    ] = "int8",
    as_json: Json = False,
) -> None:
    """Build the archives of a release, one for each model; those that are there already stay as they are.

    With many items this also finds out how to look them up: by lists that find 0.99 of the exact best 500, as tried on users.
    """
    from banquet.releases import archive, registry

    folder = registry.resolve(releases, release)
    built = [
        {"model": one.model, "archive": str(one.path), "bytes": one.path.stat().st_size, "written": one.written}
        for one in archive.build(folder, model_store, codes)
    ]
    if as_json:
        typer.echo(json.dumps({"release": folder.name, "archives": built}))
    else:
        print_table(f"Archives of release {folder.name}", built)


@app.command()
def inspect(target: Target = None, releases: Releases = RELEASES, as_json: Json = False) -> None:
    """Show what a release or an archive holds, without checking it."""
    from banquet.releases import mar, registry
    from banquet.releases.manifest import load

    if target is not None and target.endswith(ARCHIVE):
        archive = mar.inspect(Path(target))
        facts = {"archive": target, "model": archive.model, "release": archive.release, "created_at": archive.created_at}
        if as_json:
            typer.echo(json.dumps({**facts, "files": dict(archive.files)}))
        else:
            _print_facts(f"Archive {target}", facts)
            if INDEX in archive.files:
                print_table(
                    "Index", [{"fact": name, "value": value} for name, value in _flat(json.loads(mar.read(Path(target), INDEX)))]
                )
            print_table("Entries", [{"entry": name, "sha256": digest} for name, digest in archive.files.items()])
        return
    folder = registry.resolve(releases, target)
    manifest = load(folder)
    if as_json:
        typer.echo(json.dumps({**_facts(manifest), **_contents(manifest)}))
        return
    _print_facts(f"Release {manifest.version}", _facts(manifest))
    graphs = manifest.models.items()
    print_table(
        "Graphs",
        [
            {"graph": name, **{side: ", ".join(graph[side]) for side in ("inputs", "outputs")}, "made by": _maker(graph)}
            for name, graph in graphs
        ],
    )
    print_table("Metrics", [{"metric": name, "value": value} for name, value in _flat(manifest.metrics)])
    print_table("Files", [{"file": name, "bytes": (folder / name).stat().st_size} for name in manifest.files])


@app.command()
def verify(
    target: Target = None, releases: Releases = RELEASES, model_store: ModelStore = MODEL_STORE, as_json: Json = False
) -> None:
    """Check every byte of a release and of its archives, or of one archive; what changed is named, with exit code 2."""
    from banquet.releases import mar, registry
    from banquet.releases.manifest import verify as verify_release

    checked: list[dict[str, Any]] = []
    if target is not None and target.endswith(ARCHIVE):
        paths = [Path(target)]
    else:
        folder = registry.resolve(releases, target)
        manifest = verify_release(folder)
        checked.append({"checked": str(folder), "files": len(manifest.files), "state": "as sealed"})
        paths = sorted(model_store.glob(f"*-{manifest.version}{ARCHIVE}"))
    checked += [{"checked": str(path), "files": len(mar.verify(path).files), "state": "as built"} for path in paths]
    if as_json:
        typer.echo(json.dumps({"checked": checked}))
    else:
        print_table("Verified", checked)


@app.command("list")
def list_(releases: Releases = RELEASES, model_store: ModelStore = MODEL_STORE, as_json: Json = False) -> None:
    """List the releases, oldest first, and what is wanted of each."""
    from banquet.releases import registry, rollout_file
    from banquet.releases.fitness import build_hint
    from banquet.releases.manifest import load

    wanted = rollout_file.read(releases)
    notes = {entry.release: entry for entry in rollout_file.history(releases)}
    rows = []
    for version in registry.versions(releases):
        facts = _facts(load(releases / version))
        archives = [path.name.removesuffix(f"-{version}{ARCHIVE}") for path in sorted(model_store.glob(f"*-{version}{ARCHIVE}"))]
        role = {
            "in_force": version == wanted.stable,
            "state": wanted.state_of(version),
            "last": "" if version not in notes else notes[version].in_words(),
        }
        rows.append({**facts, "archives": archives, **role})
    if as_json:
        typer.echo(json.dumps({"releases": rows}))
    elif rows:
        shown = ("version", "created_at", "dataset", "items", "archives", "state", "last")
        print_table(f"Releases in {releases}", [{name: _brief(row)[name] for name in shown} for row in rows])
        if hint := build_hint(releases, model_store):
            typer.echo(hint)
    else:
        typer.echo(f"No releases in {releases}; train one with `banquet train`.")


app.command()(optimize)


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "created_at": manifest.created_at,
        "dataset": manifest.dataset,
        "preset": manifest.preset,
        "seed": manifest.seed,
        "made_from": manifest.made_from.get("release", ""),
        "items": len(manifest.schema.item_ids),
    }


def _maker(graph: Mapping[str, Any]) -> str:
    """Banquet, or the file of somebody's own models."""
    own = graph.get("own")
    return f"{own['file']} {own['sha256'][:12]}" if own else "banquet"


def _contents(manifest: Manifest) -> dict[str, Any]:
    return {
        "schema": manifest.schema.to_json(),
        "models": manifest.models,
        "metrics": manifest.metrics,
        "files": manifest.files,
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested metrics as lines, such as `retrieval.ndcg@10`; what is no single value is for programs."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}", value


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    from banquet.app.tables import show

    columns = list(dict.fromkeys(name for row in rows for name in row))
    padding = (0, 1, 0, 0) if len(columns) > MANY_COLUMNS else (0, 1)
    table = Table(title=title, title_justify="left", show_header=columns != FACT, padding=padding)
    for place, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if name in ("bytes", "items") else "left"
        table.add_column(name.replace("_", " "), overflow="fold", no_wrap=place == 0, justify=justify)
    for row in rows:
        table.add_row(*(_readable(row.get(name, "")) for name in columns))
    show(table)


def _print_facts(title: str, facts: Mapping[str, Any]) -> None:
    print_table(title, [dict(zip(FACT, (name.replace("_", " "), value), strict=True)) for name, value in facts.items()])


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """What fits beside each other in 80 columns: UTC to the minute, and reasons are for the history."""
    created = datetime.fromisoformat(row["created_at"]).astimezone(UTC)
    last = row["last"].partition(":")[0]
    return {**row, "archives": len(row["archives"]), "created_at": f"{created:%Y-%m-%d %H:%M}", "last": last}


def _readable(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
