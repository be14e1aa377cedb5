"""What the commands that talk to a running gateway share: their options, the connection, and how they end when it fails."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from banquet_client import Answer, BanquetClient, Receipt, Status

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2

Address = Annotated[str, typer.Option(envvar="BANQUET_ADDRESS", help="Host and port of the gateway.")]
TimeoutMs = Annotated[int, typer.Option(min=1, help="How long to wait for the answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
Limit = Annotated[int, typer.Option(min=1, help="How many items to return.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Items never to return: one, or several with commas; repeatable.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="NAME=VALUE[,VALUE]",
        help="Keep items whose attribute has one of the values; repeatable, all must hold.",
    ),
]
Explain = Annotated[bool, typer.Option("--explain", help="Add why each item is where it is.")]

DEFAULT_ADDRESS = "127.0.0.1:7600"
DEFAULT_TIMEOUT_MS = 1000


def fail(message: str, code: int) -> NoReturn:
    """Ends the command with one line on standard error."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)


@contextmanager
def connected(address: str, timeout_ms: int) -> Iterator[BanquetClient]:
    """A client of the gateway; a failed call ends the command: exit code 2 for a bad request, 1 for any other failure."""
    from banquet_client import BanquetClient, ClientError, InvalidRequest, NotFound, Unavailable

    try:
        with BanquetClient(address, timeout_s=timeout_ms / 1000) as client:
            yield client
    except (InvalidRequest, NotFound) as error:
        fail(str(error), EXIT_BAD_INPUT)
    except Unavailable as error:
        fail(f"{error}; start it with `banquet up`, or name another one with --address", EXIT_FAILED)
    except ClientError as error:
        fail(str(error), EXIT_FAILED)


def several(values: list[str] | None) -> list[str]:
    """`["a,b", "c"]` as `["a", "b", "c"]`."""
    return [part for value in values or [] for part in value.split(",") if part]


def attribute_filters(values: list[str] | None) -> dict[str, list[str]]:
    """`["genres=Comedy,Drama"]` as `{"genres": ["Comedy", "Drama"]}`."""
    filters: dict[str, list[str]] = {}
    for value in values or []:
        name, equals, wanted = value.partition("=")
        if not (name and equals and wanted) or name in filters:
            problem = "this attribute is there twice" if name in filters else "must be NAME=VALUE[,VALUE]"
            raise typer.BadParameter(f"{value!r}: {problem}, such as genres=Comedy,Drama", param_hint="--filter")
        filters[name] = several([wanted])
    return filters


def print_json(result: Answer | Receipt | Status) -> None:
    typer.echo(json.dumps(asdict(result), ensure_ascii=False))


def print_answer(answer: Answer, heading: str, *, as_json: bool, explain: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        from banquet.app.tables import answer_facts, answer_table, explanations, show

        show(answer_table(answer, heading), *([explanations(answer)] if explain else []), answer_facts(answer))
