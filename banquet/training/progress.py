"""Progress as a person sees it: one bar per model with its latest metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console  # noqa: TID251 - as a type


class Progress:
    """Bars on a console; without one nothing is shown, and each note still goes to `notes`."""

    def __init__(self, console: Console | None = None) -> None:
        self.notes: list[str] = []
        self._bars = Bars(
            TextColumn("{task.description:>10}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=console is None,
        )
        self._console = console
        self._task = self._bars.add_task("", visible=False, note="")
        self._name = ""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def begin(self, name: str, steps: int) -> None:
        self._name = name
        self._task = self._bars.add_task(name, total=steps, note="")

    def advance(self, steps: int = 1) -> None:
        self._bars.advance(self._task, steps)

    def note(self, text: str) -> None:
        """Shown beside the bar; on a console that is no terminal (a log file) on a line of its own."""
        self.notes.append(f"{self._name}: {text}")
        self._bars.update(self._task, note=text)
        if self._console is not None and not self._console.is_terminal:
            self._console.print(f"{self._name}: {text}")
