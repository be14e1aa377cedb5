"""Fetches MovieLens archives from their owner: resumable, checked against the published checksum, never half there."""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from banquet.core.errors import BadData, BadSettings
from banquet.core.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[int, int | None], None]

OWNER = "https://files.grouplens.org/datasets/movielens"
CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Archive:
    """A file with the MD5 sum its owner publishes, and more bytes than it can have."""

    file: str
    md5: str
    most_bytes: int = 64 << 20


ARCHIVES = {
    "ml-100k": Archive("ml-100k.zip", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": Archive("ml-1m.zip", "c4d9eecfca2ab87c1945afe126590906"),
}


class _RemoteProxies(urllib.request.ProxyHandler):
    """The proxies of the environment, for hosts other than this machine."""

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> Any:  # noqa: A002 urllib's name
        return None if is_loopback(urlsplit(req.full_url).hostname or "") else super().proxy_open(req, proxy, type)


class _Interrupted(Exception):
    """The connection ended early; what came is kept for the next try."""


def download(
    archive: Archive,
    folder: Path,
    *,
    mirror: str = OWNER,
    progress: Progress = lambda _done, _total: None,
    tries: int = 4,
    pause_s: float = 1.0,
) -> Path:
    """The archive's file in `folder`, fetched if it is not there. `progress` is told bytes done and in all (None: unknown).

    Bytes go to `<file>.part` until complete and correct; a later call goes on from there. Raises `BadData`.
    """
    if not mirror.startswith(("https://", "http://")):
        raise BadSettings(f"--mirror {mirror!r}: a URL that starts with https:// or http:// is needed, such as {OWNER}")
    target, url = folder / archive.file, f"{mirror.rstrip('/')}/{archive.file}"
    if target.is_file() and _md5(target) == archive.md5:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{archive.file}.part"
    resumed = part.exists()
    _fetch_all(url, part, archive.most_bytes, progress, tries=tries, pause_s=pause_s)
    if resumed and _md5(part) != archive.md5:  # the old part may have been of another file: once from the start
        part.unlink()
        _fetch_all(url, part, archive.most_bytes, progress, tries=tries, pause_s=pause_s)
    found = _md5(part)
    if found != archive.md5:
        part.unlink()
        raise BadData(
            f"{url}: checksum {found}, the owner publishes {archive.md5}; nothing was kept, try again or another --mirror"
        )
    part.replace(target)
    return target


def _fetch_all(url: str, part: Path, most_bytes: int, progress: Progress, *, tries: int, pause_s: float) -> None:
    for attempt in range(1, tries + 1):
        try:
            _fetch(url, part, most_bytes, progress)
        except _Interrupted as error:
            if attempt == tries:
                had = part.stat().st_size if part.exists() else 0
                raise BadData(
                    f"{url}: {error}, {had} bytes are in {part}; run the same command again to go on from there"
                ) from error
            time.sleep(pause_s * attempt)
        else:
            return


def _fetch(url: str, part: Path, most_bytes: int, progress: Progress) -> None:
    """Appends what is missing to `part`. Raises `_Interrupted` when it is not all there then, `BadData` when it cannot be."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 http(s), checked
    try:
        with urllib.request.build_opener(_RemoteProxies).open(request, timeout=TIMEOUT_S) as answer:
            if start and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                start = 0
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else None
            if total and total > most_bytes:
                raise BadData(f"{url}: {total} bytes, at most {most_bytes} are expected; check the --mirror")
            _append(answer, part, start, total, most_bytes, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the checksum tells whether it is right
        if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BadData(f"{url}: the server says {error.code} {error.reason}; check the --mirror") from error
        raise _Interrupted(f"the server says {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error)) from error


def _append(
    answer: http.client.HTTPResponse, part: Path, start: int, total: int | None, most_bytes: int, progress: Progress
) -> None:
    done = start
    with part.open("r+b" if start else "wb") as out:
        out.seek(start)
        progress(done, total)
        while chunk := answer.read(CHUNK_BYTES):
            done += len(chunk)
            if done > most_bytes:
                raise BadData(f"{answer.url}: more than the {most_bytes} bytes expected; check the --mirror")
            out.write(chunk)
            progress(done, total)
    if total is not None and done < total:
        raise _Interrupted(f"the connection ended after {done} of {total} bytes")


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
