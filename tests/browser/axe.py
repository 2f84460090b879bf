"""What axe-core finds on a page."""

from typing import Any


def faults(page: Any, axe: str) -> list[str]:
    """Return what is serious or critical, for people."""
    # Colours are judged once the panel has come to rest.
    page.evaluate("Promise.all(document.getAnimations().map((one) => one.finished))")
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{item['impact']} {item['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for item in found["violations"]
        if item["impact"] in {"serious", "critical"}
        for node in item["nodes"]
    ]
