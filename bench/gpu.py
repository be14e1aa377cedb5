"""What a GPU does with retrieval and ranking, against eager torch and against what its memory and arithmetic allow.

    python gpu.py --json gpu.json          # needs torch and numpy alone, so that it can be carried to a bare machine

Retrieval finds the best 500 of 1M items x 64 exactly; ranking scores 1000 candidates with the default ranker's layers. Each
runs as eager torch does it and as kernels compiled by inductor in a CUDA graph. The floor of a run is the larger of the bytes it
has to move over a measured copy's bandwidth and its arithmetic over a measured product's; the JSON shows both sides of it.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Call = Callable[[], Any]

DIM, BEST, HISTORY, CANDIDATES = 64, 500, 50, 1000
# Every item among the best is in one of as many groups, those whose own best are best.
GROUP = 64
BATCHES = (1, 4, 16, 64, 128, 256)
BARS = {"at most times the floor at batch 128": 5.0, "at least times eager at batch 1": 5.0}
# The default ranker's widths.
ITEM, ACTIVITY, USER, ATTENTION, RANK, HIDDEN = 32, 2, 16, 32, 16, (64, 32)
FEATURES = ITEM + ACTIVITY
CROSSED = USER + FEATURES + 2 * ITEM + 1
UNSEEN = -1e9
MOST_DEVIATION = MOST_LOG_ODDS = 4.0


class Ranker(nn.Module):
    """The layers of `banquet.training.models.ranking.Ranker` behind its embeddings; a unit test holds them to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Linear(ITEM, ATTENTION, bias=False)
        self.keys = nn.Linear(ITEM, ATTENTION, bias=False)
        self.downs = nn.ModuleList(nn.Linear(CROSSED, RANK, bias=False) for _ in range(2))
        self.ups = nn.ModuleList(nn.Linear(RANK, CROSSED) for _ in range(2))
        self.deep = nn.ModuleList([nn.Linear(CROSSED, HIDDEN[0]), nn.Linear(HIDDEN[0], HIDDEN[1])])
        self.heads = nn.Linear(CROSSED + HIDDEN[-1], 2)

    def forward(self, user: Tensor, history: Tensor, mask: Tensor, candidates: Tensor, scores: Tensor) -> Tensor:
        """User [B, U], history [B, L, F], mask [B, L], candidates [B, C, F], scores [B, C] -> [B, C]."""
        what, had = candidates[..., :ITEM], history[..., :ITEM]
        keys = self.keys(had) * ATTENTION**-0.5
        weights = self.queries(what) @ keys.transpose(1, 2) + (1.0 - mask[:, None]) * UNSEEN
        pooled = (torch.softmax(weights, -1) @ had) * mask.amax(1)[:, None, None]
        spread = user[:, None].expand(-1, candidates.shape[1], -1)
        near = scores.clamp(-MOST_DEVIATION, MOST_DEVIATION)[..., None]
        start = torch.cat([spread, candidates, pooled, pooled * what, near], -1)
        crossed = start
        for down, up in zip(self.downs, self.ups, strict=True):
            crossed = start * up(down(crossed)) + crossed
        deep = start
        for layer in self.deep:
            deep = functional.relu(layer(deep))
        logits = MOST_LOG_ODDS * torch.tanh(self.heads(torch.cat([crossed, deep], -1)) / MOST_LOG_ODDS)
        joined: Tensor = scores + logits[..., 0] + functional.logsigmoid(logits[..., 1])
        return joined

    @staticmethod
    def flops(queries: int, candidates: int) -> int:
        """Of the matrix products alone."""
        crosses = 2 * 2 * CROSSED * RANK
        deep = CROSSED * HIDDEN[0] + HIDDEN[0] * HIDDEN[1] + (CROSSED + HIDDEN[1]) * 2
        per_pair = ITEM * ATTENTION + HISTORY * ATTENTION + HISTORY * ITEM + crosses + deep
        return 2 * queries * (candidates * per_pair + HISTORY * ITEM * ATTENTION)


def best_of(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """As one writes it: users [B, d], items [N, d] -> scores and numbers of the best, [B, k] each."""
    found = torch.topk(users @ items.T, BEST)
    return found.values, found.indices


def best_in_groups(users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """The same, exactly, with a selection from N / 64 and one from 64 k instead of one from N."""
    groups = (users @ items.T).view(len(users), -1, GROUP)
    chosen = torch.topk(groups.amax(2), BEST).indices
    scores = torch.take_along_dim(groups, chosen[..., None], 1)
    numbers = chosen[..., None] * GROUP + torch.arange(GROUP, device=users.device)
    found = torch.topk(scores.flatten(1), BEST)
    return found.values, numbers.flatten(1).gather(1, found.indices)


class Stopwatch:
    """Medians of single runs, in seconds; a GPU's by its own clock."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self._device = device
        self._runs = runs

    def median_s(self, call: Call) -> float:
        for _ in range(3):
            call()
        return statistics.median(self._once_s(call) for _ in range(self._runs))

    def _once_s(self, call: Call) -> float:
        if self._device.type != "cuda":
            began_s = time.perf_counter()
            call()
            return time.perf_counter() - began_s
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
        began.record()
        call()
        ended.record()
        torch.cuda.synchronize()
        return float(began.elapsed_time(ended)) / 1e3


def in_graph(call: Call, device: torch.device) -> Call:
    """The call's kernels as one CUDA graph; on the CPU, which has none, the call."""
    if device.type != "cuda":
        return call
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph, kept = torch.cuda.CUDAGraph(), []
    with torch.cuda.graph(graph, stream=stream):
        kept.append(call())

    def replay() -> Any:
        graph.replay()
        return kept[0]

    return replay


def measure_machine(device: torch.device, dtype: torch.dtype, watch: Stopwatch, *, small: bool) -> dict[str, Any]:
    """Bandwidth of a copy (bytes read and written) and arithmetic of a product, both as large as it takes."""
    numbers, side = (2**20, 256) if small else (2**29, 8192)
    source, place = (torch.zeros(numbers, dtype=torch.uint8, device=device) for _ in range(2))
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "capability": list(torch.cuda.get_device_capability()) if device.type == "cuda" else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "copy_bytes_per_s": 2 * numbers / watch.median_s(lambda: place.copy_(source)),
        "product_flop_per_s": 2 * side**3 / watch.median_s(lambda: left @ right),
        "dtype": str(dtype).removeprefix("torch."),
    }


def case(
    batch: int, calls: dict[str, Call], watch: Stopwatch, machine: dict[str, Any], bytes_moved: int, flops: int
) -> dict[str, Any]:
    """One batch: every way's median, the floor with its arithmetic, and the ratios that the bars are about."""
    seconds = {name: watch.median_s(call) for name, call in calls.items()}
    memory_s, arithmetic_s = bytes_moved / machine["copy_bytes_per_s"], flops / machine["product_flop_per_s"]
    floor_s, best_s = max(memory_s, arithmetic_s), min(s for name, s in seconds.items() if name != "eager")
    return {
        "batch": batch,
        "ms": {name: s * 1e3 for name, s in seconds.items()},
        "floor": {
            "bytes": bytes_moved,
            "flops": flops,
            "memory_ms": memory_s * 1e3,
            "arithmetic_ms": arithmetic_s * 1e3,
            "ms": floor_s * 1e3,
        },
        "times_the_floor": best_s / floor_s,
        "times_eager": seconds["eager"] / best_s,
    }


def measure_retrieval(
    device: torch.device,
    dtype: torch.dtype,
    compiler: str,
    watch: Stopwatch,
    machine: dict[str, Any],
    n: int,
    batches: Sequence[int],
) -> list[dict[str, Any]]:
    """The floor reads every item once and writes the best; what lies between could stay on the chip."""
    items, cases = torch.randn(n, DIM, device=device).to(dtype), []
    for batch in batches:
        users = torch.randn(batch, DIM, device=device).to(dtype)
        plain, grouped = (torch.compile(way, backend=compiler, dynamic=False) for way in (best_of, best_in_groups))
        calls: dict[str, Call] = {
            "eager": partial(best_of, users, items),
            "compiled in a graph": in_graph(partial(plain, users, items), device),
            "in groups, compiled in a graph": in_graph(partial(grouped, users, items), device),
        }
        values = {name: call()[0].float() for name, call in calls.items()}
        for found in values.values():
            torch.testing.assert_close(found, values["eager"], atol=0.1, rtol=0.02)
        moved = items.element_size() * (items.numel() + users.numel()) + batch * BEST * (items.element_size() + 8)
        cases.append(case(batch, calls, watch, machine, moved, 2 * batch * n * DIM))
    return cases


def measure_ranking(
    device: torch.device, dtype: torch.dtype, compiler: str, watch: Stopwatch, machine: dict[str, Any], batches: Sequence[int]
) -> list[dict[str, Any]]:
    """The floor reads users, histories and candidates once and writes the scores."""
    torch.manual_seed(0)
    ranker, cases = Ranker().to(device).to(dtype).eval(), []
    for batch in batches:
        shapes = [(batch, USER), (batch, HISTORY, FEATURES), (batch, HISTORY), (batch, CANDIDATES, FEATURES), (batch, CANDIDATES)]
        inputs = [torch.randn(shape, device=device).to(dtype) for shape in shapes]
        inputs[2] = torch.ones_like(inputs[2])
        compiled = torch.compile(ranker, backend=compiler, dynamic=False)
        calls: dict[str, Call] = {
            "eager": partial(ranker, *inputs),
            "compiled in a graph": in_graph(partial(compiled, *inputs), device),
        }
        torch.testing.assert_close(calls["compiled in a graph"](), calls["eager"](), atol=0.1, rtol=0.05)
        moved = inputs[0].element_size() * (sum(tensor.numel() for tensor in inputs) + batch * CANDIDATES)
        cases.append(case(batch, calls, watch, machine, moved, Ranker.flops(batch, CANDIDATES)))
    return cases


def try_tensorrt(device: torch.device) -> dict[str, Any]:
    """Whether a TensorRT that is installed builds and runs an engine here: a linear layer with a rectifier, rows from 1 to 64."""
    try:
        try:
            import tensorrt as trt  # noqa: PLC0415 - may not be there
        except ImportError:
            import tensorrt_rtx as trt  # noqa: PLC0415 - may not be there
    except ImportError as error:
        return {"installed": False, "runs": False, "error": str(error)}
    told = {"installed": True, "package": trt.__name__, "version": trt.__version__}
    try:
        return {**told, "runs": True, "largest_error": _run_tensorrt(trt, device)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {**told, "runs": False, "error": repr(error)}


def _run_tensorrt(trt: Any, device: torch.device) -> float:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    weights = np.random.default_rng(0).normal(size=(DIM, DIM)).astype(np.float32)
    rows = network.add_input("rows", trt.float32, (-1, DIM))
    constant = network.add_constant((DIM, DIM), trt.Weights(weights)).get_output(0)
    product = network.add_matrix_multiply(rows, trt.MatrixOperation.NONE, constant, trt.MatrixOperation.NONE).get_output(0)
    result = network.add_activation(product, trt.ActivationType.RELU).get_output(0)
    result.name = "result"
    network.mark_output(result)
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("rows", (1, DIM), (16, DIM), (64, DIM))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("the builder gives no plan")
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        raise RuntimeError("the runtime cannot read the plan")
    context, stream = engine.create_execution_context(), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    given = torch.randn(16, DIM, device=device)
    taken = torch.zeros(16, DIM, device=device)
    torch.cuda.synchronize()
    context.set_input_shape("rows", (16, DIM))
    context.set_tensor_address("rows", given.data_ptr())
    context.set_tensor_address("result", taken.data_ptr())
    if not context.execute_async_v3(stream.cuda_stream):
        raise RuntimeError("the context does not run")
    stream.synchronize()
    expected = torch.relu(given @ torch.from_numpy(weights).to(device))
    return float((taken - expected).abs().max())


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    device, small = torch.device(arguments.device), arguments.small
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    watch = Stopwatch(device, 3 if small else 50)
    n, batches = (64 * 1000, (1, 2)) if small else (2**20, BATCHES)
    with torch.inference_mode():
        machine = measure_machine(device, dtype, watch, small=small)
        results = {
            "retrieval": measure_retrieval(device, dtype, arguments.compiler, watch, machine, n, batches),
            "ranking": measure_ranking(device, dtype, arguments.compiler, watch, machine, batches),
        }
    return {
        "machine": machine,
        "workload": {
            "items": n,
            "dim": DIM,
            "best": BEST,
            "candidates": CANDIDATES,
            "history": HISTORY,
            "compiler": arguments.compiler,
        },
        "bars": BARS,
        "smoke_test": small or device.type != "cuda",
        **results,
        "tensorrt": try_tensorrt(device),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--small", action="store_true", help="sizes that show that the script works, and nothing else")
    parser.add_argument("--compiler", default="inductor", help="torch.compile's backend")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; --device cpu --small shows that the script works")
    result = run(arguments)
    for work in ("retrieval", "ranking"):
        for found in result[work]:
            ways = ", ".join(f"{name} {ms:.3f} ms" for name, ms in found["ms"].items())
            print(
                f"{work} at batch {found['batch']}: {ways}; {found['times_the_floor']:.1f} x the floor of "
                f"{found['floor']['ms']:.4f} ms, {found['times_eager']:.1f} x eager"
            )
    print(f"tensorrt: {result['tensorrt']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
