"""Whether a catalogue says what the SDK says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banquet.features.catalogue.item_columns import NOT_FOUND, PRESENT
from banquet.wire.columns import NOT_STORED, STORED_NULL
from tests.contract.differential.scenarios import Question
from tests.contract.differential.values import bits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from banquet.features.project.layout import Layout, View
    from banquet.wire.catalogue_file import CatalogueFile
    from banquet.wire.columns import Column
    from tests.contract.differential.project import Cell, Project
    from tests.contract.differential.scenarios import Id

NULL = bits(None)
# Models cannot take bytes, so the catalogue has no columns of them.
LEFT_OUT = ("BYTES", "BYTES_LIST")


def check_catalogue(project: Project, layout: Layout, catalogue: CatalogueFile | None, *, tells_absence: bool) -> None:
    """Every item, feature, status and event time. `tells_absence` of a store whose rows are NOT_FOUND where nothing is stored.

    A column holds one type: a value of another type, left over from an older definition, may be anything in it. Of an item
    without any feature of a view, the catalogue need not say when those were written that the view had before.
    """
    told = _everything(project, layout)
    known = catalogue.ids.to_list() if catalogue else []
    assert known == sorted(known)
    first = layout.items[0]
    for item in project.schema.keys["item"].ids:
        cells = {view.name: [told[f"{view.name}__{name}"][item] for name in view.features] for view in layout.items}
        if _is_there(cells[first.name], tells_absence=tells_absence):
            assert str(item) in known, f"item {item!r} is missing"
        elif (first.name, (item,)) not in project.touched:
            assert str(item) not in known, f"item {item!r} has no row in {first.name}"
    if catalogue is not None:
        for row, text in enumerate(known):
            item = next(one for one in project.schema.keys["item"].ids if str(one) == text)
            for view in layout.items:
                its = {name: told[f"{view.name}__{name}"][item] for name in view.features}
                _check_row(
                    catalogue, row, view, its, touched=(view.name, (item,)) in project.touched, tells_absence=tells_absence
                )


def _check_row(
    catalogue: CatalogueFile, row: int, view: View, its: Mapping[str, Cell], *, touched: bool, tells_absence: bool
) -> None:
    where = f"item {catalogue.ids[row]!r} view {view.name!r}"
    time_us, expected_us = int(catalogue.event_times_us[view.name][row]), next(iter(its.values())).time_us
    if time_us or any(cell.status == PRESENT for cell in its.values()):
        assert time_us == expected_us, f"{where}: {time_us} us is not {expected_us} us"
    status = catalogue.statuses[view.name][row]
    if _is_there(list(its.values()), tells_absence=tells_absence):
        assert status == PRESENT, f"{where}: status {status}, though it is there"
    elif not touched:
        assert status == NOT_FOUND, f"{where}: status {status}, though nothing is there"
    for name, cell in its.items():
        if (kind := view.features[name]) not in LEFT_OUT:
            column = catalogue.columns[view.column(name)]
            _check_cell(column, row, kind, cell, f"{where} {name!r} {kind}", tells_absence=tells_absence)


def _everything(project: Project, layout: Layout) -> dict[str, dict[Id, Cell]]:
    key = project.schema.keys["item"]
    references = tuple(f"{view.name}:{name}" for view in layout.items for name in view.features)
    told = project.told(Question(references, {key.name: key.ids}))
    return {name: dict(zip(key.ids, cells, strict=True)) for name, cells in told.items()}


def _is_there(cells: list[Cell], *, tells_absence: bool) -> bool:
    return any(cell.value != NULL or (tells_absence and cell.status == PRESENT) for cell in cells)


def _check_cell(column: Column, row: int, kind: str, cell: Cell, where: str, *, tells_absence: bool) -> None:
    absent = 0 if column.absent is None else int(column.absent[row])
    if cell.value == NULL:
        expected = {STORED_NULL if cell.status == PRESENT else NOT_STORED} if tells_absence else {STORED_NULL, NOT_STORED}
        assert absent in expected, f"{where}: absent is {absent}, not one of {expected}"
        return
    if cell.kind != f"{kind.lower()}_val":
        return
    assert not absent, f"{where}: absent, though stored as {cell.value}"
    found = bits(_value(column, row))
    assert found == cell.value, f"{where}: {found} is not {cell.value}"


def _value(column: Column, row: int) -> Any:
    if column.offsets is not None:
        its = column.values[column.offsets[row] : column.offsets[row + 1]]
        return its.tolist() if column.vocabulary is None else [column.vocabulary[int(code)] for code in its]
    if column.vocabulary is not None:
        return column.vocabulary[int(column.values[row])]
    return column.values[row].item()
