"""The command line `banquet`: every verb in one place, and how they all end."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from banquet.app.commands import data, dataset, demo, features, release, rollout, train, up
from banquet.app.commands.evaluate import evaluate
from banquet.app.commands.forget import forget
from banquet.app.commands.gateway import EXIT_BAD_INPUT, fail
from banquet.app.commands.recommend import rank, recommend, similar
from banquet.app.commands.record import record
from banquet.app.commands.status import status
from banquet.core.errors import BanquetError

RUN = "Run"
ASK = "Talk to a running gateway"
MAKE = "Make data, features and releases"


class OneLineErrors(TyperGroup):
    """Ends a command with one line and exit code 2 when Banquet foresaw what went wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever reads the output has seen enough; click ends quietly.
            raise
        except (BanquetError, OSError) as error:
            fail(str(error), EXIT_BAD_INPUT)


app = typer.Typer(
    name="banquet",
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done; 1 the gateway cannot be reached or cannot answer; 2 bad input, named in one line on stderr.",
)


@app.callback()
def banquet(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=lambda wanted: _print_version(wanted=wanted), help="Print the version."
        ),
    ] = False,
) -> None:
    """Banquet serves recommendations: features from Feast, models in TorchServe, one gRPC gateway."""


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"banquet {version('banquet')}")
        raise typer.Exit


app.command(rich_help_panel=RUN)(up.up)
app.command(rich_help_panel=RUN)(demo.demo)
for verb in (recommend, rank, similar, record, status, forget):
    app.command(rich_help_panel=ASK)(verb)
app.add_typer(data.app, name="data", rich_help_panel=MAKE)
app.add_typer(dataset.app, name="dataset", rich_help_panel=MAKE)
app.command(rich_help_panel=MAKE)(train.train)
app.command(rich_help_panel=MAKE)(evaluate)
app.add_typer(features.app, name="features", rich_help_panel=MAKE)
rollout.add_to(release.app)
app.add_typer(release.app, name="release", rich_help_panel=MAKE)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
