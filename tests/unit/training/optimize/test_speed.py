"""Releases side by side."""

from banquet.training.optimize.speed import graph_bytes, program_bytes, side_by_side
from tests.release_factory import make_release


def test_each_release_is_timed_in_turn(tmp_path) -> None:
    """Ranking is a part of a request, so a thread makes fewer requests than rankings; sizes are those of the files."""
    folders = [make_release(tmp_path)] * 2
    turns = []
    speeds = side_by_side(folders, 8, lambda: turns.append(1), rounds=5)
    assert len(turns) == 5
    for speed, folder in zip(speeds, folders, strict=True):
        assert 0 < speed["requests_per_s"] < 1e3 / speed["p50_ms"]
        assert graph_bytes(folder) == sum(path.stat().st_size for path in folder.glob("graphs/*.onnx"))
        assert program_bytes(folder) == sum(path.stat().st_size for path in folder.glob("programs/*.pt2"))
