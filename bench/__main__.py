"""`python -m bench VERB --json FILE`: measures, and prints what came of it; `--help` lists the verbs."""

from __future__ import annotations

import argparse
import signal
import sys

from banquet.core.errors import BanquetError
from bench import faults, models, releases, scale, serving, swap, versions
from bench.features import command as features
from bench.stacks import NotStarted
from bench.victims import NoVictim


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="serving|faults|features|swap|models|scale|releases|versions")
    for name, benchmark, about in (
        ("serving", serving, "Banquet against what a good engineer would write in a day"),
        ("faults", faults, "what callers get while parts of Banquet die, hang or misbehave, one after the other"),
        ("features", features, "reading features and seeing events and pushes, against Feast's SDK"),
        ("swap", swap, "what a new catalogue version costs the callers of a million items"),
        ("models", models, "ranking on every engine there is, and the cascade against two model calls"),
        ("scale", scale, "a million items against ten thousand, and what it takes to find them"),
        ("releases", releases, "what callers notice of releases that come and go under load"),
        ("versions", versions, "two gateways that run already, asked the same in turns"),
    ):
        verb = verbs.add_parser(name, help=about)
        benchmark.add_arguments(verb)
        verb.set_defaults(run=benchmark.run)
    # A SIGTERM ends this as an exception, so that everything started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        arguments = parser.parse_args()
        arguments.run(arguments)
    except (BanquetError, NotStarted, NoVictim) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
