"""The demo's browsers, phones, tools and bots, composed from parts as their makers do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

# Majors that the vendors had in the field together; Chromium's reduced user agents carry no more.
_CHROMIUM = range(130, 144)
_FIREFOX = (128, *range(132, 146))
_SAFARI = ("17.6", "18.3", "18.4", "18.5", "18.6", "26.0", "26.1")

# User-agent token, and what the browser says in hints: platform, platform version.
_DESKTOPS = {
    "Windows NT 10.0; Win64; x64": (("Windows", "15.0.0"), ("Windows", "10.0.0")),
    "Macintosh; Intel Mac OS X 10_15_7": (("macOS", "15.6.1"), ("macOS", "14.7.0")),
    "X11; Linux x86_64": (("Linux", "6.11.0"),),
    "X11; CrOS x86_64 14541.0.0": (("Chrome OS", "16181.61.0"),),
}
_FIREFOX_DESKTOPS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10.15",
    "X11; Linux x86_64",
    "X11; Ubuntu; Linux x86_64",
)
_PHONE_MODELS = (
    "Pixel 7a",
    "Pixel 8",
    "Pixel 9 Pro",
    "SM-A546B",
    "SM-S918B",
    "SM-S928B",
    "2312DRA50G",
)
_GALAXY_MODELS = ("SM-A155F", "SM-A546B", "SM-G991B", "SM-S911B", "SM-S928B", "SM-F946B")


@dataclass(frozen=True, slots=True)
class UserAgent:
    """A User-Agent header, and the client hints that come with it."""

    text: str
    hints: Mapping[str, str] = field(default_factory=dict)


def browsers() -> list[UserAgent]:
    """Return desktop browsers."""
    return [*_desktop_chromium(), *_desktop_firefox(), *_desktop_safari()]


def phones() -> list[UserAgent]:
    """Return browsers of phones and tablets."""
    return [*_apple_phones(), *_android_phones()]


def command_line_clients() -> list[UserAgent]:
    """Return tools and libraries that call an API."""
    platforms = ("linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64")
    texts = [
        *(f"git/2.{minor}.{patch}" for minor, patch in product(range(43, 52), (0, 1))),
        *(f"git/2.{minor} (Apple Git-{build})" for minor, build in ((39.5, 154), (50.1, 155))),
        *(
            f"kubectl/v1.{minor}.2 ({platform}) kubernetes/{0x67A30C0 + minor:07x}"
            for minor, platform in product(range(29, 35), platforms)
        ),
        *(
            f"Terraform/1.{minor}.{patch} (+https://www.terraform.io)"
            for minor, patch in product(range(8, 14), (0, 3))
        ),
        *(f"curl/8.{minor}.{patch}" for minor, patch in product(range(5, 17), (0, 1))),
        *(f"python-requests/2.{minor}.0" for minor in range(30, 33)),
        *(f"python-httpx/0.{minor}.0" for minor in range(25, 29)),
        *(f"okhttp/{version}" for version in ("4.11.0", "4.12.0", "5.1.0")),
        *(f"GitHub CLI 2.{minor}.0" for minor in range(70, 83, 2)),
        *(f"aws-cli/2.{minor}.0 md/awscrt#0.27.6 ua/2.1 os/linux" for minor in range(27, 32)),
        *(f"axios/1.{minor}.0" for minor in range(7, 13)),
        *(f"PowerShell/7.{minor}.3" for minor in range(3, 6)),
        *(
            f"backup-cli/3.{minor}.0 ({platform})"
            for minor, platform in product(range(6), platforms)
        ),
        "Go-http-client/1.1",
        "Go-http-client/2.0",
        "PostmanRuntime/7.49.0",
        "Wget/1.24.5",
    ]
    return [UserAgent(text) for text in texts]


def webhook_senders() -> list[UserAgent]:
    """Return the automata that report changes at the code host."""
    return [UserAgent(f"GitHub-Hookshot/{build:07x}") for build in range(0x3C1F04A, 0x3C1F04A + 5)]


def scanners() -> list[UserAgent]:
    """Return the automata that knock at every login page."""
    named = {
        "Googlebot/2.1": "http://www.google.com/bot.html",
        "bingbot/2.0": "http://www.bing.com/bingbot.htm",
        "AhrefsBot/7.0": "http://ahrefs.com/robot/",
        "SemrushBot/7~bl": "http://www.semrush.com/bot.html",
        "CensysInspect/1.1": "https://about.censys.io/",
        "UptimeRobot/2.0": "http://www.uptimerobot.com/",
    }
    return [UserAgent(f"Mozilla/5.0 (compatible; {bot}; +{url})") for bot, url in named.items()]


def _desktop_chromium() -> Iterator[UserAgent]:
    brands = {"Google Chrome": "", "Microsoft Edge": " Edg/{}.0.0.0", "Opera": " OPR/{}.0.0.0"}
    for (system, platforms), (brand, suffix) in product(_DESKTOPS.items(), brands.items()):
        if brand != "Google Chrome" and system.startswith("X11"):
            continue
        for major in _CHROMIUM:
            shown = major - 15 if brand == "Opera" else major  # Opera counts for itself
            yield UserAgent(
                f"Mozilla/5.0 ({system}) {_WEBKIT} Chrome/{major}.0.0.0 Safari/537.36"
                + suffix.format(shown),
                _hints(brand, major, shown, *platforms[major % len(platforms)]),
            )


def _hints(
    brand: str, major: int, shown: int, platform: str, version: str, model: str = ""
) -> dict[str, str]:
    return {
        "sec-ch-ua": f'"{brand}";v="{shown}", "Chromium";v="{major}", "Not_A Brand";v="24"',
        "sec-ch-ua-platform": f'"{platform}"',
        "sec-ch-ua-platform-version": f'"{version}"',
        "sec-ch-ua-mobile": "?1" if model else "?0",
    } | ({"sec-ch-ua-model": f'"{model}"'} if model else {})


def _desktop_firefox() -> Iterator[UserAgent]:
    for system, major in product(_FIREFOX_DESKTOPS, _FIREFOX):
        yield UserAgent(f"Mozilla/5.0 ({system}; rv:{major}.0) Gecko/20100101 Firefox/{major}.0")


def _desktop_safari() -> Iterator[UserAgent]:
    for version in _SAFARI:
        yield UserAgent(
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE_WEBKIT} "
            f"Version/{version} Safari/605.1.15"
        )


def _apple_phones() -> Iterator[UserAgent]:
    devices = ("iPhone; CPU iPhone OS {} like Mac OS X", "iPad; CPU OS {} like Mac OS X")
    for device, version in product(devices, _SAFARI):
        # Safari 26 froze the system version in its user agent at 18.6.
        system = "18_6" if version.startswith("26") else version.replace(".", "_")
        opening = f"Mozilla/5.0 ({device.format(system)}) {_APPLE_WEBKIT}"
        yield UserAgent(f"{opening} Version/{version} Mobile/15E148 Safari/604.1")
    iphone = f"Mozilla/5.0 ({devices[0].format('18_5')}) {_APPLE_WEBKIT}"
    for major in _CHROMIUM:
        yield UserAgent(f"{iphone} CriOS/{major}.0.7204.156 Mobile/15E148 Safari/604.1")
    for major in _FIREFOX[1:]:
        yield UserAgent(f"{iphone} FxiOS/{major}.0 Mobile/15E148 Safari/605.1.15")


def _android_phones() -> Iterator[UserAgent]:
    # Chrome says "Android 10; K" on every phone; only hints tell which it is.
    for major in _CHROMIUM:
        model = _PHONE_MODELS[major % len(_PHONE_MODELS)]
        yield UserAgent(
            f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} "
            f"Chrome/{major}.0.0.0 Mobile Safari/537.36",
            _hints("Google Chrome", major, major, "Android", f"{14 + major % 3}.0.0", model),
        )
    for model, version in product(_GALAXY_MODELS, range(25, 29)):
        yield UserAgent(
            f"Mozilla/5.0 (Linux; Android 14; {model}) {_WEBKIT} SamsungBrowser/{version}.0 "
            "Chrome/130.0.0.0 Mobile Safari/537.36"
        )
    for android, major in product((13, 14, 15), _FIREFOX[1:]):
        yield UserAgent(
            f"Mozilla/5.0 (Android {android}; Mobile; rv:{major}.0) "
            f"Gecko/{major}.0 Firefox/{major}.0"
        )
