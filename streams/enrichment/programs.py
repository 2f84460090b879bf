"""Programs without a window: command-line clients, libraries and crawlers, which name themselves.

They write ``name/version`` (RFC 9110, section 10.1.5) first, where browsers write "Mozilla/5.0"
and then what they want to be taken for. uap-core knows some by name; the rule covers the rest,
also tomorrow's.
"""

import re
from typing import NamedTuple


class Program(NamedTuple):
    """A program and its version, as it wrote them."""

    name: str
    version: str | None


_BROWSER_LIKE = ("Mozilla/", "Opera/", "Dalvik/")

# Names that differ from what people call the program; those that uap-core takes for crawlers are
# here too.
_DISPLAY_NAMES = {
    "apache-httpclient": "Apache HttpClient",
    "boto3": "Boto3",
    "gh": "GitHub CLI",
    "github cli": "GitHub CLI",
    "java": "Java",
    "libwww-perl": "libwww-perl",
    "node": "Node.js",
    "powershell": "PowerShell",
    "python": "Python",
    "python-urllib": "Python-urllib",
    "undici": "undici",
    "windowspowershell": "PowerShell",
}
# The first word misleads: "Python/3.11 aiohttp/3.9.5", "Mozilla/5.0 (Windows NT) PowerShell/7.4.6".
_EMBEDDED = re.compile(r"\b(aiohttp|(?:Windows)?PowerShell)/v?(\d[\w.]*)")
_LEADING = re.compile(r"([A-Za-z][\w.+-]*(?: CLI)?)(?:[/ ]v?(\d[\w.+-]*)|$)")
_AUTOMATON = re.compile(
    r"bot\b|bot[_-]|crawl|spider|hookshot|webhook|monitor|uptime|probe|scrap", re.IGNORECASE
)
# Crawlers leave an address for complaints, which old browsers' "compatible; MSIE 9.0" don't.
_COMPATIBLE = re.compile(r"compatible; ?([A-Za-z][\w .-]*?)(?:/v?(\d[\w.~]*))?; ?\+?https?:")


def is_browser_like(text: str) -> bool:
    """Tell whether it opens as browsers do, and what pretends to be one."""
    return text.startswith(_BROWSER_LIKE)


def command_line_client(text: str) -> Program | None:
    """Return the client that ``text`` names; None for browsers, crawlers and versionless words."""
    if match := _EMBEDDED.search(text):
        return _program(match)
    match = None if is_browser_like(text) else _LEADING.match(text)
    if match is None or _AUTOMATON.search(match[1]):
        return None
    return _program(match) if match[2] or match[1].lower() in _DISPLAY_NAMES else None


def is_known_client(client: Program) -> bool:
    """Tell whether it is a client for sure, whatever uap-core takes it for."""
    return client.name in _DISPLAY_NAMES.values()


def crawler(text: str) -> Program | None:
    """Return the automaton that ``text`` names, first or as "compatible; name/version; +https:"."""
    if match := _COMPATIBLE.search(text):
        return _program(match)
    match = None if is_browser_like(text) else _LEADING.match(text)
    return _program(match) if match and _AUTOMATON.search(match[1]) else None


def _program(match: re.Match[str]) -> Program:
    return Program(_DISPLAY_NAMES.get(match[1].lower(), match[1]), match[2])
