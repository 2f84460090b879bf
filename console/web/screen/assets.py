"""The static files, each version at an address of its own: browsers keep them for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from auditbus.console.web.problems import Problem

__all__ = ["asset_url", "router"]

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    media_type: str
    etag: str


@cache
def _assets() -> Mapping[str, _Asset]:
    found = {}
    for file in files(__package__).joinpath("static").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type:
            body = file.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:32]
            found[file.name] = _Asset(body, f"{media_type}; charset=utf-8", f'"{etag}"')
    return found


@cache
def _version() -> str:
    """One for all: a module imports its neighbours by relative address, so they share a folder."""
    tags = "".join(f"{name}{asset.etag}" for name, asset in sorted(_assets().items()))
    return hashlib.sha256(tags.encode()).hexdigest()[:16]


def asset_url(name: str) -> str:
    """Return the address of a static file, which changes whenever any of them does."""
    if name not in _assets():
        raise KeyError(name)
    return f"/static/{_version()}/{name}"


@router.get("/favicon.ico")
def favicon(request: Request) -> Response:
    """Serve the icon to those who ask for it without having read a page."""
    return asset(request, "icon.svg")


@router.get("/static/{name}")
@router.get("/static/{version}/{name}")
def asset(request: Request, name: str, version: str = "") -> Response:
    """Serve a static file; without its version, or with an old one, it is not kept."""
    found = _assets().get(name)
    if found is None:
        raise Problem(404, "There is no such file.")
    kept = "public, max-age=31536000, immutable" if version == _version() else "no-cache"
    headers = {"ETag": found.etag, "Cache-Control": kept}
    if found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.media_type)
