"""Lists of lines around centres (faiss), of which only the nearest are looked at: for catalogues too large to scan on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch.nn.functional import embedding, pad

from handlers.index.exact import FEW, Exact
from handlers.index.index import among, joined, mask_of, of_interests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from handlers.index.index import Lines
    from handlers.index.lists import Lists

# How a line is stored in its list. What is found by these is scored anew from the lines themselves.
CODES = {"float32": None, "float16": "QT_fp16", "int8": "QT_8bit"}
# So many more than wanted are fetched, since rounded lines come in a slightly other order.
SLACK = {"float32": 1.0, "float16": 1.05, "int8": 1.2}
LEAST_SLACK = 16
# Lines that tell how far the values of int8 codes range.
RANGED = 100_000
# With more to fetch than this share of the lines, looking at all of them is as quick.
MANY = 0.1
# Lists are looked into until so many times as many lines are allowed as `probes` lists hold: the best of what a filter allows lie
# further apart (of 200,000 lines, however the filter cuts through them, 4 times find 0.990 of them, 8 times 0.999).
DEEPER = 8


class FaissMissing(RuntimeError):
    """faiss is not installed here; the text says what to do."""


def import_faiss(threads: int) -> Any:
    """The module, held to so many threads of whoever calls. Raises `FaissMissing`."""
    try:
        import faiss  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FaissMissing(f"faiss cannot be imported ({error}); pip install 'banquet[faiss]', or faiss-cpu") from error
    # OpenMP keeps this number per thread, and torch's OpenMP is another one.
    faiss.omp_set_num_threads(threads)
    return faiss


class Ivf:
    """Looks into the `probes` lists nearest to a user's vector, and at every line that came after those `covered`.

    What is hidden or seen is left out exactly, and scores are exact; only an item whose list is not looked into can be missed. A
    query for which fewer than k are found gets the exact answer. Never changes: `extended` makes another one.
    """

    name = "ivf"

    def __init__(self, found: Any, places: Tensor, lists: Lists, codes: str, probes: int, threads: int) -> None:
        """`places` int32 [covered] are the lists that the lines are in; slot 0 is in none, which is the one behind the last."""
        self.covered = len(places)
        self._places = places
        self._reach = DEEPER * probes * self.covered / len(lists)
        self.probes = probes
        self.codes = codes
        self._faiss = found
        self._lists = lists
        self._threads = threads
        self._exact = Exact()
        self._parameters = import_faiss(threads).SearchParametersIVF(nprobe=probes)

    @classmethod
    def over(cls, vectors: Tensor, lists: Lists, codes: str, probes: int, threads: int) -> Self:
        """An index of lines [S, d]; slot 0 is nobody's. Raises `FaissMissing`."""
        faiss = import_faiss(threads)
        centres = faiss.IndexFlatIP(vectors.shape[1])
        centres.add(lists.centres.numpy())
        shape = (centres, vectors.shape[1], len(lists))
        name = CODES[codes]
        if name is None:
            found = faiss.IndexIVFFlat(*shape, faiss.METRIC_INNER_PRODUCT)
        else:
            kind = getattr(faiss.ScalarQuantizer, name)
            # Codes of the lines themselves: of the differences to a centre they would depend on the way it was found.
            found = faiss.IndexIVFScalarQuantizer(*shape, kind, faiss.METRIC_INNER_PRODUCT, False)
        found.train(vectors[1 :: 1 + len(vectors) // RANGED].numpy())
        # Python would free the centres with the last name for them.
        found.own_fields = True
        centres.this.disown()
        places = _add(faiss, found, lists, vectors, 1)
        return cls(found, pad(places, (1, 0), value=len(lists)), lists, codes, probes, threads)

    def extended(self, vectors: Tensor) -> Ivf:
        """Another one that covers the lines appended since, too."""
        faiss = import_faiss(self._threads)
        found = faiss.clone_index(self._faiss)
        places = torch.cat([self._places, _add(faiss, found, self._lists, vectors, self.covered)])
        return Ivf(found, places, self._lists, self.codes, self.probes, self._threads)

    def probing(self, probes: int) -> Ivf:
        """The same lists, looked into in another number."""
        return Ivf(self._faiss, self._places, self._lists, self.codes, probes, self._threads)

    @property
    def size_bytes(self) -> int:
        """What its lists take: a code and a slot for each line."""
        return int(self._faiss.ntotal * (self._faiss.code_size + 8))

    def best(
        self, lines: Lines, users: Tensor, seen: Tensor, k: int, allowed: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        if allowed is not None:
            queries = zip(torch.split(users, 1), torch.split(seen, 1), allowed, strict=True)
            return joined([self._best_allowed(lines, user, its, k, slots) for user, its, slots in queries])
        if not k or self._to_fetch(lines, seen, k) > MANY * len(lines.vectors):
            return self._exact.best(lines, users, seen, k)
        slots, scores = self.looked_up(lines, users, seen, k)
        short = scores[:, -1].isneginf() & users.flatten(1).any(1)
        if short.any():
            slots[short], scores[short] = self._exact.best(lines, users[short], seen[short], k)
        return slots, scores

    def looked_up(self, lines: Lines, users: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """As `best`, but with nothing more than the lists looked into have, even if that is fewer than k."""
        fetched = max(k, self._to_fetch(lines, seen, k))
        return self._found(lines, lines.shown, users, seen, k, fetched, self._parameters)

    def _best_allowed(self, lines: Lines, user: Tensor, seen: Tensor, k: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The k best of some slots [n] for one user [1, M, d]: found in lists or, when that is quicker, by looking at all."""
        if k and len(slots) > FEW * self._reach:
            probes = self._probes_among(slots, user[0])
            # To look at a line of a list, with a mask, costs as much as one of all lines does.
            if FEW * probes * self.covered / len(self._lists) < len(slots):
                found = self._looked_up_among(lines, user, seen, k, slots, probes)
                if not found[1][0, -1].isneginf():
                    return found
        return self._exact.best(lines, user, seen, k, [slots])

    def _looked_up_among(
        self, lines: Lines, user: Tensor, seen: Tensor, k: int, slots: Tensor, probes: int
    ) -> tuple[Tensor, Tensor]:
        faiss = import_faiss(self._threads)
        shown = mask_of(slots, lines)
        selector = faiss.IDSelectorBitmap(np.packbits(shown.numpy(), bitorder="little"))
        parameters = faiss.SearchParametersIVF(nprobe=probes, sel=selector)
        fetched = int((k + seen.shape[1]) * SLACK[self.codes]) + LEAST_SLACK
        return self._found(lines, shown, user, seen, k, fetched, parameters)

    def _probes_among(self, slots: Tensor, user: Tensor) -> int:
        """How many lists to look into so that each of a user's vectors [M, d] reaches as many of the slots [n] as it should."""
        # Slots behind those covered are looked at in any case.
        held = torch.bincount(self._places.take(slots.where(slots < self.covered, 0)), minlength=len(self._lists) + 1)
        nearest = (user[user.any(1)] @ self._lists.centres.T).argsort(1, descending=True)
        short = held[nearest].cumsum(1) < self._reach
        return min(1 + int(short.sum(1).max()), len(self._lists)) if len(nearest) else self.probes

    def _found(
        self, lines: Lines, shown: Tensor, users: Tensor, seen: Tensor, k: int, fetched: int, parameters: Any
    ) -> tuple[Tensor, Tensor]:
        """The k best of what the lists have that is `shown` [S] and not seen."""
        slots, scores = self._candidates(lines, users, fetched, parameters)
        scores.masked_fill_(~shown[slots] | among(slots, seen), -torch.inf)
        scores, places = scores.topk(k, dim=1)
        return slots.gather(1, places), scores

    def _to_fetch(self, lines: Lines, seen: Tensor, k: int) -> int:
        """How many to fetch so that k are left when the hidden and the seen are taken out."""
        left = (k + int((seen > 0).sum(1).max())) * SLACK[self.codes] + LEAST_SLACK
        shown = 1 - len(lines.hidden) / len(lines.vectors)
        return int(left / max(shown, 1e-3))

    def _candidates(self, lines: Lines, users: Tensor, fetched: int, parameters: Any) -> tuple[Tensor, Tensor]:
        """Slots [B, C] and their scores: those fetched for each of the users' vectors, then every line behind those covered."""
        import_faiss(self._threads)
        _, found = self._faiss.search(users.flatten(0, 1).numpy(), fetched, params=parameters)
        slots = torch.from_numpy(found).view(len(users), -1)
        # None found is -1; a later version of the catalogue may have more lines.
        slots = slots.clamp(min=0).masked_fill_(slots >= len(lines.vectors), 0)
        if users.shape[1] > 1:
            slots = _once(slots)
        scores = of_interests((embedding(slots, lines.vectors) @ users.mT).mT, users)
        if len(lines.vectors) <= self.covered:
            return slots, scores
        behind = torch.arange(self.covered, len(lines.vectors)).expand(len(users), -1)
        its = (users.flatten(0, 1) @ lines.vectors[self.covered :].T).view(*users.shape[:2], -1)
        return torch.cat([slots, behind], 1), torch.cat([scores, of_interests(its, users)], 1)


def _add(faiss: Any, found: Any, lists: Lists, vectors: Tensor, begin: int) -> Tensor:
    """Put lines into their lists, int32 [n], which come back."""
    lines = vectors[begin:].contiguous().numpy()
    slots = torch.arange(begin, len(vectors)).numpy()
    places = lists.assigned(vectors[begin:])
    found.add_core(len(lines), faiss.swig_ptr(lines), faiss.swig_ptr(slots), faiss.swig_ptr(places.numpy()))
    return places.to(torch.int32)


def _once(slots: Tensor) -> Tensor:
    """Each slot of a row once, the rest as 0."""
    slots = slots.sort(1).values
    slots[:, 1:].masked_fill_(slots[:, 1:] == slots[:, :-1], 0)
    return slots
