"""User-Agent Client Hints: what Chromium browsers tell since they froze their user agents.

Format: https://wicg.github.io/ua-client-hints/ (RFC 8941 structured fields), as services copy the
headers into `context.client_hints`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from auditbus.streams.enrichment.user_agent import Device

_BRAND = re.compile(r'"((?:[^"\\]|\\.)*)"\s*;\s*v="([\d.]*)"')
# Browsers add a nonsense brand to every list, so that nobody relies on its order: "Not_A Brand",
# "Not/A)Brand".
_NONSENSE = re.compile(r"not.{0,3}a.{0,3}brand", re.IGNORECASE)
_BROWSERS = {
    "Google Chrome": "Chrome",
    "Microsoft Edge": "Edge",
    "Opera GX": "Opera",
    "Opera Mobile": "Opera",
}
_SYSTEMS = {"Chromium OS": "Chrome OS", "Mac OS X": "macOS"}
# https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11
_WINDOWS_11_FROM = 13
_OLD_WINDOWS = {"0.1": "7", "0.2": "8", "0.3": "8.1"}

_HINT_CHARS = 256
"""A hint is cut here: the longest honest one, a full version list, is half of it."""

_NAMES = (
    "sec-ch-ua",
    "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile",
    "sec-ch-ua-model",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
)


def normalize_hints(raw: Mapping[str, str | None]) -> dict[str, str]:
    """Return the hints that this module reads, their names in lower case with hyphens."""
    named = {name.lower().replace("_", "-"): value for name, value in raw.items()}
    return {name: value[:_HINT_CHARS] for name in _NAMES if (value := named.get(name))}


def apply_hints(device: Device, hints: Mapping[str, str]) -> Device:
    """Return ``device`` with what normalized ``hints`` know better; clients and bots unchanged."""
    if device.type in {"cli", "bot"}:
        return device
    device = _with_browser(device, hints)
    device = _with_system(device, hints)
    if model := _unquoted(hints.get("sec-ch-ua-model")):
        device = replace(device, model=model)
    if hints.get("sec-ch-ua-mobile") == "?1" and device.type in {"desktop", "other"}:
        device = replace(device, type="mobile")  # a phone that asks for the desktop site
    return device


def _with_browser(device: Device, hints: Mapping[str, str]) -> Device:
    brands = _BRAND.findall(hints.get("sec-ch-ua-full-version-list") or hints.get("sec-ch-ua", ""))
    honest = [(name, version) for name, version in brands if not _NONSENSE.search(name)]
    if not honest:
        return device
    # Each Chromium browser also lists its engine; its own name tells more.
    name, version = next((brand for brand in honest if brand[0] != "Chromium"), honest[0])
    return replace(
        device, browser=_BROWSERS.get(name, name), browser_version=_trimmed(version) or None
    )


def _with_system(device: Device, hints: Mapping[str, str]) -> Device:
    os = _unquoted(hints.get("sec-ch-ua-platform"))
    version = _unquoted(hints.get("sec-ch-ua-platform-version"))
    os = _SYSTEMS.get(os, os)
    if os and os != device.os:  # the user agent spoke of another system: nothing of it holds
        device = replace(device, os=os, os_version=None, brand=None, model=None)
    if not version:
        return device
    version_name = _windows(version) if device.os == "Windows" else _trimmed(version)
    return replace(device, os_version=version_name)


def _windows(platform_version: str) -> str | None:
    major, _, rest = platform_version.partition(".")
    if not (major.isascii() and major.isdigit()):
        return None
    if int(major) == 0:
        return _OLD_WINDOWS.get(f"0.{rest.partition('.')[0]}")
    return "11" if int(major) >= _WINDOWS_11_FROM else "10"


def _trimmed(version: str) -> str:
    while version.endswith(".0"):
        version = version.removesuffix(".0")
    return version


def _unquoted(value: str | None) -> str:
    return value.strip().strip('"').strip() if value else ""
