"""Whether Banquet's readers say what the SDK says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banquet.features.project.layout import HISTORY
from banquet.features.stores.statuses import NOT_FOUND, PRESENT
from tests.contract.differential.project import SERVICE, Cell
from tests.contract.differential.scenarios import Question
from tests.contract.differential.values import bits

if TYPE_CHECKING:
    from banquet.core.stages import UserReader
    from banquet.features.online.reader import OnlineReader
    from banquet.features.project.layout import Layout, View
    from tests.contract.differential.project import Project
    from tests.contract.differential.scenarios import Id


async def check_answer(told: dict[str, list[Cell]], reader: OnlineReader, question: Question) -> None:
    """The same columns, and the same in every cell."""
    asked = SERVICE if question.references is None else list(question.references)
    names = list(question.rows)
    rows = [dict(zip(names, ids, strict=True)) for ids in zip(*question.rows.values(), strict=True)]
    columns = await reader.read(asked, rows, full_names=question.full_names)
    found = {
        name: [
            Cell(status, bits(value), time_us)
            for status, value, time_us in zip(column.statuses, column.values, column.times_us, strict=True)
        ]
        for name, column in columns.items()
    }
    assert found == told, f"{found}\nis not\n{told}"


async def check_users(project: Project, layout: Layout, reader: UserReader, *, tells_absence: bool) -> None:
    """The rows that the pipeline gets."""
    key = project.schema.keys["user"]
    references = tuple(f"{view.name}:{name}" for view in layout.users for name in view.features)
    told = project.told(Question(references, {key.name: key.ids}))
    for at, user_id in enumerate(key.ids):
        user = await reader.read(str(user_id))
        for view in layout.users:
            cells = {name: told[f"{view.name}__{name}"][at] for name in view.features}
            where = f"user {user_id!r} view {view.name!r}"
            for name, cell in cells.items():
                found = (list(user.history) or None) if name == HISTORY else user.values[view.column(name)]
                # An empty history and none are one to the pipeline.
                expected = bits(None) if name == HISTORY and cell.value == bits([]) else cell.value
                assert bits(found) == expected, f"{where} {name!r}: {bits(found)} is not {expected}"
            there = any(cell.value != bits(None) or (tells_absence and cell.status == 1) for cell in cells.values())
            _check_status(project, user_id, view, user.statuses[view.name], there=there)
            assert user.found or not there, f"{where}: not found"


def _check_status(project: Project, user_id: Id, view: View, status: str, *, there: bool) -> None:
    if there:
        assert status == PRESENT, f"user {user_id!r} view {view.name!r}: {status}, though it is there"
    elif (view.name, (user_id,)) not in project.touched:
        assert status == NOT_FOUND, f"user {user_id!r} view {view.name!r}: {status}, though nothing is there"
