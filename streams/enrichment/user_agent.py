"""What a user agent says about its device, browser and system, minus what browsers froze.

uap-core (through ua-parser) knows browsers, phones and crawlers. Added here: names as people use
them, the kind of device, and silence where a browser froze a version years ago, so that it no
longer means anything.
"""

import re
from dataclasses import dataclass

import ua_parser

from auditbus.runtime.errors import MissingExtra
from auditbus.streams.enrichment import programs

PARSED_CHARS = 512
"""Longer user agents are cut here: no honest one needs more, and parsing costs by length."""

UNHINTED_WINDOWS = "10/11"
"""Browsers froze "Windows NT 10.0": without client hints nobody can tell Windows 11 from 10."""


@dataclass(frozen=True, slots=True)
class Device:
    """The parts of the `device` object (DESIGN: the event); None where nothing is known."""

    type: str
    brand: str | None = None
    model: str | None = None
    os: str | None = None
    os_version: str | None = None
    browser: str | None = None
    browser_version: str | None = None


# uap-core spells some browsers by platform; the platform has fields of its own.
_BROWSERS = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile WebView": "Chrome WebView",
    "Chrome Mobile iOS": "Chrome",
    "Edge Mobile": "Edge",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "IE": "Internet Explorer",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "Safari WebView",
    "Opera Mobile": "Opera",
    "Yandex Browser": "Yandex",
}
_SYSTEMS = {"Mac OS X": "macOS", "Web0S": "webOS"}
_DESKTOPS = {
    "Windows",
    "macOS",
    "Linux",
    "Chrome OS",
    "Ubuntu",
    "Fedora",
    "Debian",
    "FreeBSD",
    "OpenBSD",
}
# "Generic" hardware of uap-core, and "K", which Chrome for Android writes instead of the model.
_NO_MODEL = {"K", "Smartphone", "Tablet", "Feature Phone", "Desktop", "iOS-Device"}
_TELEVISION = re.compile(
    r"smart-?tv|\btv\b|hbbtv|appletv|googletv|bravia|roku|crkey|\baft[a-z]+\b", re.IGNORECASE
)
_CONSOLE = re.compile(r"playstation|xbox|nintendo", re.IGNORECASE)


class UserAgentParser:
    """Reads user agents: 0.2 s and 30 MB to build, 0.1 to 0.5 ms a text, linear in its length."""

    def __init__(self) -> None:
        """Raise MissingExtra without the Rust engine: Python's own can be made to backtrack."""
        if ua_parser.RegexResolver is None:
            raise MissingExtra("stream", "ua-parser[regex]")
        self._resolve = ua_parser.RegexResolver(ua_parser.load_lazy_builtins())

    def parse(self, user_agent: str) -> Device:
        """Return the device behind ``user_agent``, of which `PARSED_CHARS` are read."""
        text = user_agent[:PARSED_CHARS].strip()
        found = self._resolve(text, ua_parser.Domain.ALL)
        os, os_version = _system(found.os, text)
        is_spider = found.device is not None and found.device.family == "Spider"
        brand, model = (None, None) if is_spider else _hardware(found.device)
        client = programs.command_line_client(text)
        if client and (programs.is_known_client(client) or not (is_spider or brand)):
            return Device("cli", None, None, os, os_version, client.name, client.version)
        browser, version = _browser(found.user_agent)
        bot = programs.crawler(text)
        if is_spider or bot or browser == "HeadlessChrome":
            name, bot_version = bot or (browser, version)
            return Device("bot", None, None, os, os_version, name, bot_version)
        return Device(_form(text, os, model), brand, model, os, os_version, browser, version)


def _browser(found: ua_parser.UserAgent | None) -> tuple[str | None, str | None]:
    if found is None:
        return None, None
    return _BROWSERS.get(found.family, found.family), _joined(found.major, found.minor, found.patch)


def _system(found: ua_parser.OS | None, text: str) -> tuple[str | None, str | None]:
    if found is None:
        return None, None
    name = _SYSTEMS.get(found.family, found.family)
    if name == "Windows" and found.major == "10" and programs.is_browser_like(text):
        return name, UNHINTED_WINDOWS
    version = (
        None if _is_frozen(name, found, text) else _joined(found.major, found.minor, found.patch)
    )
    return name, version


def _is_frozen(name: str, found: ua_parser.OS, text: str) -> bool:
    """Tell whether the version is a constant of the browser instead of news about the system."""
    if not programs.is_browser_like(text):
        return False
    return (
        (name == "macOS" and found.major == "10" and found.minor == "15")
        or (name == "Android" and "Android 10; K)" in text)
        or (name == "iOS" and found.major == "18" and " Version/26" in text)
        or name == "Chrome OS"
    )


def _hardware(found: ua_parser.Device | None) -> tuple[str | None, str | None]:
    if found is None:
        return None, None
    brand = None if not found.brand or found.brand.startswith("Generic") else found.brand
    return brand, None if found.model in _NO_MODEL else found.model


def _form(text: str, os: str | None, model: str | None) -> str:
    """Return desktop, mobile, tablet, tv, console or other; the most telling word decides."""
    if _CONSOLE.search(text):
        return "console"
    if _TELEVISION.search(text) or os == "webOS":
        return "tv"
    if model == "iPad" or "Tablet" in text or "Kindle" in text:
        return "tablet"
    if (
        os == "Android"
    ):  # Android's convention: phones say Mobile, tablets don't; apps (Dalvik) say neither
        return "mobile" if "Mobile" in text or not text.startswith("Mozilla/") else "tablet"
    if os == "iOS" or "Mobile" in text or "Phone" in text:
        return "mobile"
    return "desktop" if os in _DESKTOPS else "other"


def _joined(*parts: str | None) -> str | None:
    """Join version numbers, without closing zeros: browsers froze theirs ("131.0.0.0")."""
    numbers = [part for part in parts if part]
    while len(numbers) > 1 and numbers[-1] == "0":
        numbers.pop()
    return ".".join(numbers) or None
