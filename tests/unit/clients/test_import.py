"""The client stays light."""

import subprocess
import sys

ALLOWED = {"banquet", "banquet_client", "grpc", "google"}


def test_importing_the_client_brings_in_grpc_and_protobuf_alone():
    """No numpy, torch or any other installed package comes along."""
    program = (
        "import sys; before = set(sys.modules); import banquet_client; import importlib.metadata as m; "
        "installed = set(m.packages_distributions()); "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} & installed))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    # typing_extensions and the grpc_* packages, where they are installed, are imported by grpcio itself
    assert {name for name in found if not name.startswith("grpc_")} - {"typing_extensions"} <= ALLOWED
