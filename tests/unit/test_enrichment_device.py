"""Device: what people read for the user agents that reach an audit log today."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditbus.streams.enrichment import EMPTY_FRAGMENT, DeviceLookup
from auditbus.streams.enrichment.client_hints import normalize_hints

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS_CHROME = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"
)
ANDROID_CHROME = (
    f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)

DEVICES = DeviceLookup()

TABLE = [
    line.split("\t")
    for line in Path(__file__).with_name("user_agents.tsv").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("kind", "label", "user_agent"), TABLE)
def test_a_user_agent_reads_as_people_say_it(kind: str, label: str, user_agent: str) -> None:
    device = orjson.loads(DEVICES.fragment(user_agent))
    assert (device["type"], device["label"]) == (kind, label)
    assert device["is_bot"] is (kind == "bot")
    assert None not in device.values(), "absent parts are left out"


def test_every_part_of_a_phone() -> None:
    fragment = DEVICES.fragment(IPHONE)
    assert orjson.loads(fragment) == {
        "type": "mobile",
        "brand": "Apple",
        "model": "iPhone",
        "os": "iOS",
        "os_version": "17.5.1",
        "browser": "Safari",
        "browser_version": "17.5",
        "is_bot": False,
        "label": "Safari 17 on iPhone",
    }


@pytest.mark.parametrize(
    ("user_agent", "frozen"),
    [
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Chrome/131.0.0.0", "macOS"),
        (ANDROID_CHROME, "Android"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/131.0.0.0", "Chrome OS"),
        (
            IPHONE.replace("17_5_1", "18_6").replace("17.5", "26.0"),
            "iOS",
        ),
    ],
)
def test_a_frozen_system_version_is_not_told_as_news(user_agent: str, frozen: str) -> None:
    device = orjson.loads(DEVICES.fragment(user_agent))
    assert device["os"] == frozen
    assert "os_version" not in device


@pytest.mark.parametrize(
    ("platform_version", "label"),
    [
        ('"15.0.0"', "Chrome 131 on Windows 11"),
        ('"13.0.0"', "Chrome 131 on Windows 11"),
        ('"10.0.0"', "Chrome 131 on Windows 10"),
        ('"1.0.0"', "Chrome 131 on Windows 10"),
        ('"0.3.0"', "Chrome 131 on Windows 8.1"),
        ('"nonsense"', "Chrome 131 on Windows"),
        ('""', "Chrome 131 on Windows 10/11"),
    ],
)
def test_only_a_hint_tells_windows_11(platform_version: str, label: str) -> None:
    hints = {"sec-ch-ua-platform": '"Windows"', "sec-ch-ua-platform-version": platform_version}
    assert orjson.loads(DEVICES.fragment(WINDOWS_CHROME, hints))["label"] == label


@pytest.mark.parametrize("spelling", ["sec-ch-ua-model", "Sec-CH-UA-Model", "SEC_CH_UA_MODEL"])
def test_hint_names_are_taken_in_any_spelling(spelling: str) -> None:
    device = orjson.loads(DEVICES.fragment(ANDROID_CHROME, {spelling: '"Pixel 9 Pro"'}))
    assert device["label"] == "Chrome 131 on Pixel 9 Pro"


def test_hints_replace_all_that_the_browser_froze() -> None:
    hints = {
        "sec-ch-ua": '"Chromium";v="131", "Not_A Brand";v="24", "Brave";v="131"',
        "sec-ch-ua-full-version-list": '"Chromium";v="131.0.6778.86", "Brave";v="131.1.73.91", '
        '"Not_A Brand";v="24.0.0.0"',
        "sec-ch-ua-platform": '"Android"',
        "sec-ch-ua-platform-version": '"15.0.0"',
        "sec-ch-ua-mobile": "?1",
        "sec-ch-ua-model": '"SM-S938B"',
    }
    device = orjson.loads(DEVICES.fragment(ANDROID_CHROME, hints))
    assert (device["os"], device["os_version"]) == ("Android", "15")
    assert (device["browser"], device["browser_version"]) == ("Brave", "131.1.73.91")
    assert device["label"] == "Brave 131 on SM-S938B"


def test_a_phone_that_asks_for_the_desktop_site_is_still_a_phone() -> None:
    linux = f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} Chrome/131.0.0.0 Safari/537.36"
    hints = {"sec-ch-ua-platform": '"Android"', "sec-ch-ua-mobile": "?1"}
    device = orjson.loads(DEVICES.fragment(linux, hints))
    assert (device["type"], device["label"]) == ("mobile", "Chrome 131 on Android")


def test_hints_do_not_turn_a_command_line_client_into_a_browser() -> None:
    hints = {"sec-ch-ua": '"Google Chrome";v="131"', "sec-ch-ua-platform": '"Windows"'}
    assert DEVICES.fragment("git/2.43.0", hints) == DEVICES.fragment("git/2.43.0")


@pytest.mark.parametrize("nothing", ["", " ", "\t\n"])
def test_an_empty_user_agent_is_an_empty_device(nothing: str) -> None:
    assert DEVICES.fragment(nothing, {"sec-ch-ua-mobile": "?1"}) == EMPTY_FRAGMENT
    assert DEVICES.fragments[nothing] == EMPTY_FRAGMENT


def test_only_the_first_512_characters_count() -> None:
    assert DEVICES.fragment("curl/8.5.0 " + "x" * 600) == DEVICES.fragment(
        "curl/8.5.0 " + "x" * 501 + "Googlebot/2.1"
    )
    assert max(map(len, DEVICES.fragments)) == 512, "a cache key as long as a stranger's header"


def test_hints_that_are_none_are_left_out() -> None:
    assert normalize_hints({"sec-ch-ua-model": "", "sec-ch-ua-mobile": None, "x": "y"}) == {}


def test_endless_hints_are_read_but_not_kept() -> None:
    devices = DeviceLookup()
    hints = {"sec-ch-ua-model": '"Pixel 9"', "x": "y" * 10_000}
    assert orjson.loads(devices.fragment(ANDROID_CHROME, hints))["model"] == "Pixel 9"
    assert not devices._hinted
    assert devices.fragment(ANDROID_CHROME, hints | {"x": None}) == devices.fragment(
        ANDROID_CHROME, hints
    )
    assert len(devices._hinted) == 1


ANY_TEXT = st.text(st.characters(), max_size=700)  # lone surrogates included
PIECES = st.lists(
    st.sampled_from(
        ["Mozilla/5.0 ", "(", ")", ";", "compatible; ", "bot", "/1.2", "Android 14", "Mobile"]
    )
    | st.text(max_size=5)
).map("".join)
HINT_NAMES = st.sampled_from(
    ["sec-ch-ua", "Sec_CH_UA_Platform", "sec-ch-ua-platform-version", "sec-ch-ua-model"]
)


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT | PIECES, st.dictionaries(HINT_NAMES, ANY_TEXT | st.none()))
def test_no_text_raises_and_every_answer_is_json(
    user_agent: str, hints: dict[str, str | None]
) -> None:
    device = orjson.loads(DEVICES.fragment(user_agent, hints))
    assert device == {} or {"type", "is_bot", "label"} <= device.keys()
