"""Every route of an application, however it was included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI


@dataclass(frozen=True, order=True)
class KnownRoute:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def every_route(app: FastAPI) -> list[KnownRoute]:
    """Return them all; a kind that is not known here fails, so that none is passed over."""
    found = sorted(set(_routes(app.routes)))
    # What OpenAPI names has been found by another way: none is missing.
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            assert any(
                route.method == method.upper() and route.path.replace(":path}", "}") == path
                for route in found
            ), f"{method} {path}"
    return found


def _routes(routes: Any) -> Iterator[KnownRoute]:
    for route in routes:
        if hasattr(route, "effective_candidates"):  # a router that was included
            yield from _routes(route.effective_candidates())
            continue
        path = getattr(route, "path", None) or getattr(route.starlette_route, "path", None)
        methods = getattr(route, "methods", None) or getattr(
            getattr(route, "starlette_route", None), "methods", None
        )
        assert path, route
        if methods is None:
            assert hasattr(route, "app"), route  # a mount: files
            yield KnownRoute("GET", f"{path}/")
            continue
        for method in methods:
            if method != "HEAD":
                yield KnownRoute(method, path)
