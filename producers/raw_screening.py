"""Know from an event's bytes, at a gigabyte a second, that it holds no secret.

One automaton (RE2) looks for what the patterns of `secret_patterns` and the assignments can't do
without. It may see more than they, never less: that is property-tested. It reads JSON without
spaces, as orjson writes it: in a text the quote, the backslash and what is below a space are
escaped; all else stands as it is.

For imports, where every event is new. A service's own events repeat much: there `screening` and
what `inspection` remembers are quicker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from enum import IntEnum

from auditbus.producers.secret_names import GLUED_ENDS, LAST_TERMS, TERMS
from auditbus.producers.secret_patterns import BUILT_IN

__all__ = ["Suspicion", "raw_screen"]

_WORD = "[A-Za-z0-9_-]"
# What is before a digit: no letter nor digit, but maybe the end of an escape.
_EDGE = r"(?:[^A-Za-z0-9]|\\[bfnrt]|\\u[0-9a-f]{4})"
# By the names of BUILT_IN, and `assignment`.
_NEEDED = {
    "pem": "-----BEGIN ",
    "jwt": rf"eyJ{_WORD}{{5}}{_WORD}*\.",
    "prefixed": rf"(?:abt_|gh[pousr]_|github_pat_|gl[a-z]+-|xox[a-z]-|xapp-|[sr]k_(?:live|test)_"
    rf"|sk-|npm_|hf_|pypi-AgE|do[opr]_v1_|shp[a-z]+_|dckr_pat_|lin_api_|GOCSPX-){_WORD}{{12}}"
    r"|AGE-SECRET-KEY-1",
    "webhook": "whsec_",
    "aws": "(?:AKIA|ASIA|ABIA)[0-9A-Z]{16}",
    "google": f"AIza{_WORD}{{16}}",
    "dotted": rf"(?:SG|ya29|hvs|hvb)\.{_WORD}{{16}}",
    "twilio": "SK[0-9a-f]{32}",
    "telegram": "[0-9]{8}:AA",
    "discord": rf"[MNO]{_WORD}{{23}}{_WORD}*\.{_WORD}{{6}}\.",
    "discord_url": r"discord(?:app)?\.com/api/",
    "slack_url": r"hooks\.slack\.com/services/",
    "bearer": r"(?:[Bb]earer|BEARER)[ \\\x7f]",
    "basic": r"(?:Basic|BASIC)[ \\\x7f]",
    "url": r"""://[^ /@?#"'<>\[\]]*:[^ /"'<>]+@""",
    # Thirteen digits that begin with 1 are a time in milliseconds, and no issuer's.
    "card": rf"{_EDGE}(?:4\d{{12}}(?:\d{{3}}){{0,2}}|5\d{{15}}|2\d{{15}}|3\d{{13,15}}|6\d{{15,18}}"
    r"|[2-6]\d{3}[ -]\d{4}[ -]\d{4}[ -]\d{4}|3\d{3}[ -]\d{6}[ -]\d{5})[^A-Za-z0-9]",
    # A colon between two members is followed by neither: what follows is printable ASCII.
    "assignment": r"""=|:[^!-\[\]-~]|[rw]d(?:[ \t]|\\t)*:|\\"[\\"'\]]*(?:[ \t]|\\t)*:""",
}


# Between two letters of a name: what is neither letter nor digit, and the escapes.
_GAP = r'(?:[^A-Za-z0-9"\\]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*'
_REST = r'(?:[^"\\]|\\.)*'

_SECRET = b'{"password":"-"}'


class Suspicion(IntEnum):
    """What an event's bytes say."""

    NONE = 0
    NAMES = 1
    """A name may be a secret's; no text holds one's form."""
    TEXTS = 2
    """A text may hold a secret."""


def raw_screen(
    without: Collection[str], more_names: Iterable[str]
) -> Callable[[bytes], Suspicion] | None:
    """Return what judges an encoded event by the built-in patterns but those `without`.

    `more_names` are secret too, in one word each. None where google-re2 is not installed,
    or has no room for so many names.
    """
    try:
        import re2
    except ImportError:
        return None
    if _NEEDED.keys() != {*BUILT_IN, "assignment"}:
        return None
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes
    options.never_capture = True
    # A set tells whether, not where, and that in a third of the time.
    automaton = re2.Set.SearchSet(options)
    kept = [regex for name, regex in _NEEDED.items() if name not in without]
    try:
        automaton.Add("|".join(kept).encode())
        automaton.Add(_names(more_names).encode())
        automaton.Compile()
    except re2.error:
        return None
    match = automaton.Match
    if not match(_SECRET):  # out of memory, which it does not tell: it would find nothing ever
        return None

    def judge(raw: bytes) -> Suspicion:
        found = match(raw)
        if not found:
            return Suspicion.NONE
        return Suspicion.TEXTS if 0 in found else Suspicion.NAMES

    return judge


def _names(more: Iterable[str]) -> str:
    """Return what matches a member whose name may be a secret's, or a label that may name one."""
    built_in = {*TERMS, *GLUED_ENDS}.difference(more := {*more})
    exact = "|".join(map(_spaced, sorted(built_in - {"accesskey"} | more)))
    last = "|".join(map(_spaced, sorted(LAST_TERMS)))
    access_key = _spaced("accesskey")
    # `accessKeyId` is in most of CloudTrail's records; an operator's own name is never excepted.
    name = f"(?:{exact}){_REST}|{access_key}(?:{_NOT_ID}{_REST}|I?)"
    label = rf'"(?:field|name|key|header)":"{_REST}(?:{exact}|{access_key}|{last})'
    return rf'(?is)(?:{name})":|(?:{last}){_GAP}":|{label}'


# What begins like no `Id`, or goes on after it; `I` alone is not among it.
_NOT_ID = r'(?-i:[^I"\\]|\\.|I(?:[^d"\\]|\\.)|Id(?:[^"\\]|\\.))'


def _spaced(word: str) -> str:
    return _GAP.join(map(re.escape, word))
