"""Keeps the published layout in step with Feast's registry, by a short-lived process that imports Feast."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from banquet.core.errors import BadSettings, StageFailed
from banquet.features.project.layout import LayoutFile, registry_token

if TYPE_CHECKING:
    from pathlib import Path

    from banquet.features.project.layout import Layout
    from banquet.features.project.repo import FeatureRepo

REMOTE_EVERY_S = 600.0
RETRY_S = 15.0


def feast_job(step: str, repo: FeatureRepo, catalogue: Path) -> list[str]:
    """The command line of `banquet.features.project.feast_job`."""
    places = ["--repo", str(repo.folder), "--yaml", str(repo.yaml), "--catalogue", str(catalogue.absolute())]
    return [sys.executable, "-m", "banquet.features.project.feast_job", step, *places]


def run_feast_job(step: str, repo: FeatureRepo, catalogue: Path) -> None:
    """Run a job to its end. Raises `BadSettings` with the job's last words."""
    job = subprocess.run(  # noqa: S603 - our own module
        feast_job(step, repo, catalogue), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if job.returncode:
        words = job.stdout.strip().splitlines()[-1:] or ["no output"]
        raise BadSettings(f"Feast could not {step} {repo.folder}: {words[0]}")


class LayoutKeeper:
    """Looks at the registry whenever asked, and has the layout published anew beside the work when the registry changed.

    A registry that is not a local file is asked every ten minutes.
    """

    def __init__(self, repo: FeatureRepo, catalogue: Path) -> None:
        self._repo = repo
        self._catalogue = catalogue
        self._file = LayoutFile(catalogue)
        self._job: subprocess.Popen[bytes] | None = None
        self._not_before_s = 0.0

    def current(self) -> Layout:
        """The newest layout; the very first is waited for. Raises `BadSettings` when Feast cannot give one."""
        try:
            layout = self._file.current()
        except StageFailed:
            run_feast_job("layout", self._repo, self._catalogue)
            layout = self._file.current()
        self._follow(layout)
        return layout

    def newest(self) -> Layout:
        """The layout of the registry as it is now, waited for. Raises `BadSettings` when Feast cannot give one."""
        with suppress(StageFailed):
            layout = self._file.current()
            if not self._is_old(layout):
                return layout
        run_feast_job("layout", self._repo, self._catalogue)
        return self._file.current()

    def close(self) -> None:
        if self._job is not None:
            self._job.terminate()
            self._job.wait()
            self._job = None

    def _follow(self, layout: Layout) -> None:
        now_s = time.monotonic()
        if self._job is not None and self._job.poll() is not None:
            local = self._repo.registry_file is not None
            self._not_before_s = now_s + (RETRY_S if self._job.returncode or local else REMOTE_EVERY_S)
            self._job = None
        if self._job is None and now_s >= self._not_before_s and self._is_old(layout):
            # What Feast prints is noise; what goes wrong is said on stderr.
            self._job = subprocess.Popen(feast_job("layout", self._repo, self._catalogue), stdout=subprocess.DEVNULL)  # noqa: S603

    def _is_old(self, layout: Layout) -> bool:
        if self._repo.registry_file is None:
            return True
        # A registry that vanished is being replaced.
        return registry_token(self._repo.registry_file) not in {"", layout.registry}
