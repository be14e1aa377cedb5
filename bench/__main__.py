"""`python -m bench serving --data DIR --json FILE`: measures, and prints what came of it."""

from __future__ import annotations

import argparse
import signal
import sys

from banquet.core.errors import BanquetError
from bench import serving
from bench.stacks import NotStarted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="serving")
    serving.add_arguments(verbs.add_parser("serving", help="Banquet against what a good engineer would write in a day"))
    # A SIGTERM ends this as an exception, so that everything started is ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        serving.run(parser.parse_args())
    except (BanquetError, NotStarted) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
