"""Secrets by their form: what a token, a key, a card number or a URL with a password looks like.

Formats: RFC 6750 (Bearer), RFC 7617 (Basic), RFC 7519 (JWT), RFC 7468 (PEM), RFC 3986 (userinfo),
ISO/IEC 7812 (card numbers), and the prefixes that AWS, GitHub, GitLab, Google, npm, OpenAI, PyPI,
SendGrid, Slack, Stripe, Twilio and others put before their keys so that scanners find them; the
tokens of Telegram's and Discord's bots have a shape of their own.

Every repetition is bounded or runs over characters that no other start of the same pattern shares:
64 KiB of hostile text cost milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from auditbus.producers.assignments import replace_assigned

__all__ = ["BUILT_IN", "MARK", "MIN_CARD", "SecretPattern", "SecretPatterns", "is_card_number"]

MARK = "[redacted]"
"""What stands where a secret stood."""

_PREFIXED = (
    r"abt_[A-Za-z0-9]{40,}"  # our own API tokens
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|gl(?:pat|ptt|dt|rt|rtr|cbt|ft|imt|soat|agent|oas|ffct)-[A-Za-z0-9_-]{18,}"
    r"|xox[a-z]-[A-Za-z0-9-]{18,}|xapp-[0-9]-[A-Za-z0-9-]{18,}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|sk-(?:[A-Za-z0-9]{20,}|(?:proj|ant|or|svcacct|admin)[A-Za-z0-9]*-[A-Za-z0-9_-]{18,})"
    r"|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|pypi-AgE[A-Za-z0-9_-]{16,}|do[opr]_v1_[0-9a-f]{60,}"
    r"|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|dckr_pat_[A-Za-z0-9_-]{20,}|lin_api_[A-Za-z0-9]{30,}"
    r"|GOCSPX-[A-Za-z0-9_-]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{50,}"
)
_TOKEN68 = r"[A-Za-z0-9._~+/=-]"
# The shape of each issuer's range: a 16-digit number that merely passes Luhn is no card yet.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[0-9]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}|6(?:011|4[4-9]\d|5\d\d|2\d\d)\d{12,15}"
)
_MAX_CARD = 10**19
MIN_CARD = 10**12


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One form of secret, and how to know quickly that an event holds none.

    `regex` is searched in each string; where it has the group `secret`, only that is replaced.
    `hint` is a text that every match contains: an event without it is not searched. Without a hint
    every event is, which costs.
    """

    name: str
    regex: str
    hint: str = ""


BUILT_IN: dict[str, str] = {
    "pem": r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    "jwt": r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){2,4}",
    "prefixed": rf"(?<![A-Za-z0-9])(?:{_PREFIXED})",
    "webhook": r"(?<![A-Za-z0-9])whsec_[A-Za-z0-9+/_=-]{16,}",
    "aws": r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA)[0-9A-Z]{16}(?![A-Za-z0-9])",
    "google": r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}",
    "dotted": r"(?<![A-Za-z0-9])(?:SG|ya29|hvs|hvb)\.[A-Za-z0-9_-]{18,}(?:\.[A-Za-z0-9_-]+)?",
    "twilio": r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])",
    # `bot` stands before it in the addresses of Telegram's API.
    "telegram": r"(?<![0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])",
    "discord": r"(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    "discord_url": r"discord(?:app)?\.com/api/(?:v[0-9]{1,3}/)?webhooks/[0-9]{1,20}/"
    r"(?P<discord_url>[A-Za-z0-9_-]{40,})",
    "slack_url": r"://hooks\.slack\.com/services/(?P<slack_url>[A-Za-z0-9/]{8,})",
    "bearer": r"(?<![A-Za-z0-9])(?:[Bb]earer|BEARER)\s{1,4}"
    rf"(?P<bearer>(?=[A-Za-z._~+/=-]{{0,64}}[0-9]){_TOKEN68}{{6,}}|{_TOKEN68}{{20,}})",
    "basic": r"(?<![A-Za-z0-9])(?:Basic|BASIC)\s{1,4}"
    r"(?P<basic>(?=[A-Za-z+/]{0,64}?(?:[0-9=]|[a-z][A-Z]))[A-Za-z0-9+/]{6,}={0,2})",
    "url": r"://[^\s/:@?#\[\]\"'<>]{0,256}:(?P<url>[^\s/\"'<>]{1,512})@",
    "card": r"(?<![A-Za-z0-9])(?<!\d[.-])(?P<card>\d{13,19}"
    r"|\d{4}(?P<_a>[ -])\d{4}(?P=_a)\d{4}(?P=_a)\d{4}|\d{4}(?P<_b>[ -])\d{6}(?P=_b)\d{5})"
    r"(?![A-Za-z0-9]|[.-]\d)",
}
"""Name and regex; a group of the pattern's own name is what is replaced, else the whole match."""


class SecretPatterns:
    """All patterns as one. Safe between threads."""

    def __init__(
        self,
        is_secret_name: Callable[[str], bool],
        more: Iterable[SecretPattern] = (),
        without: Iterable[str] = (),
    ) -> None:
        """Raise ValueError where a regex is wrong, or `without` names no pattern."""
        more, without = tuple(more), frozenset(without)
        if unknown := without - BUILT_IN.keys() - {"assignment"}:
            raise ValueError(f"no pattern {', '.join(sorted(unknown))}; there are "
                             f"{', '.join(BUILT_IN)} and assignment")  # fmt: skip
        for pattern in more:
            _check(pattern)
        self._is_secret_name = is_secret_name
        self._assigned = "assignment" not in without
        self._own = [re.compile(pattern.regex) for pattern in more]
        kept = {name: regex for name, regex in BUILT_IN.items() if name not in without}
        self._cards = "card" in kept
        self._formats = _joined(kept)
        kept.pop("card", None)
        self._formats_without_card = _joined(kept)

    def redact(self, text: str, *, cards: bool = True) -> str:
        """Return `text` with the mark for every secret; the very same object where there is none.

        Repeats until nothing more is found: a secret that is gone may have hidden the next one's
        beginning.
        """
        formats = self._formats if cards else self._formats_without_card
        for _ in range(_MAX_PASSES):
            found = formats.sub(_replaced, text) if formats is not None else text
            if self._assigned and ("=" in found or ":" in found):
                found = replace_assigned(found, self._is_secret_name, MARK)
            for regex in self._own:
                found = regex.sub(_replaced_own, found)
            if found == text:
                break
            text = found
        return text

    def redact_number(self, number: int) -> int | str:
        """Return the mark for a card number, else the number."""
        if self._cards and MIN_CARD <= number < _MAX_CARD and is_card_number(str(number)):
            return MARK
        return number


_MAX_PASSES = 8


def is_card_number(digits: str) -> bool:
    """Tell whether the digits are in an issuer's range and pass Luhn's check (ISO/IEC 7812)."""
    if _ISSUERS.fullmatch(digits) is None:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _joined(patterns: dict[str, str]) -> re.Pattern[str] | None:
    wrapped = (
        regex if f"(?P<{name}>" in regex else f"(?P<{name}>{regex})"
        for name, regex in patterns.items()
    )
    return re.compile("|".join(wrapped), re.ASCII) if patterns else None


def _replaced(match: re.Match[str]) -> str:
    groups = match.re.groupindex
    name = next(name for name in groups if name[0] != "_" and match.start(name) >= 0)
    whole, secret = match.group(), match.group(name)
    if secret.startswith(MARK):
        return whole
    if name == "card" and not is_card_number(secret.replace(" ", "").replace("-", "")):
        return whole
    start, end = match.span(name)
    return f"{whole[: start - match.start()]}{MARK}{whole[end - match.start() :]}"


def _replaced_own(match: re.Match[str]) -> str:
    whole = match.group()
    if not whole or MARK in whole:  # found before, or a pattern that would match its own mark
        return whole
    if "secret" not in match.re.groupindex or match.start("secret") < 0:
        return MARK
    start, end = (position - match.start() for position in match.span("secret"))
    return f"{whole[:start]}{MARK}{whole[end:]}"


def _check(pattern: SecretPattern) -> None:
    try:
        regex = re.compile(pattern.regex)
    except re.error as error:
        raise ValueError(f"pattern {pattern.name}: {error}") from None
    if regex.fullmatch(""):
        raise ValueError(f"pattern {pattern.name}: matches the empty text")
