"""Is this the name of a secret? Judged by words: `api_key`, `apiKey` and `X-Api-Key` are the same.

`tokenizer` and `author` are other words, `token_count` and `password_changed_at` speak *about* a
secret, and neither is hit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["GLUED_ENDS", "LAST_TERMS", "TERMS", "SecretNames"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+").findall
_SEGMENTS = re.compile(r"[.\[\]/]+").split
_MAX_NAME_CHARACTERS = 256
_MAX_WINDOW = 3  # the longest term has three words
_MAX_REMEMBERED, _MAX_REMEMBERED_CHARACTERS = 4096, 64

# Written without separators: every run of up to three words of a name is compared, joined.
TERMS = frozenset(
    """
    password passwd pwd passphrase passcode passwort kennwort secret secretid token authorization
    apikey accesskey secretkey privatekey signingkey encryptionkey masterkey sharedkey accountkey
    storagekey sshkey sessionkey hmackey clientkey cookie credential cred recoverycode backupcode
    securitycode verificationcode mfacode otpcode onetimecode connectionstring cardnumber
    xamzsignature xgoogsignature csrf xsrf
    """.split()  # noqa: SIM905 -- words read better than seventy lines
)
# Ambiguous elsewhere (`pin_position`), so they count at the end of a name only.
LAST_TERMS = frozenset(
    ("pin", "otp", "totp", "cvv", "cvv2", "cvc", "cvc2", "jwt", "sig", "bearer", "pass", "pw")
)
GLUED_ENDS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey")
# A name that goes on with one of these tells something about the secret, not the secret.
_HARMLESS_ENDS = frozenset(
    """
    age alg algorithm arn at attempt attempts budget changed consent count counts created date day
    days deleted domain enabled endpoint expiration expire expires expiry failures file fingerprint
    format hour hours id ids issuer kind label length limit method minutes mode ms name names owner
    path permission permissions policy prefix present provider required reset revoked rotated
    rotation scope scopes score seconds set size source state status strength time timestamp ttl
    type updated uri url usage used valid version
    """.split()  # noqa: SIM905 -- words read better than seventy lines
)


class SecretNames:
    """Judges names, and remembers. Safe between threads: at worst two judge the same name."""

    def __init__(self, more: Iterable[str] = (), allowed: Iterable[str] = ()) -> None:
        """`more` names are secret too, `allowed` ones never; both compared by words."""
        more = tuple(more)
        self.more = frozenset(_joined(name) for name in more) - {""}
        self._allowed = frozenset(_joined(name) for name in allowed)
        self._window = max([_MAX_WINDOW, *(len(_WORDS(name)) for name in more)])
        self._remembered: dict[str, bool] = {}
        self._remembered_paths: dict[str, bool] = {}

    def __call__(self, name: str) -> bool:
        """Tell whether a value of that name is a secret."""
        verdict = self._remembered.get(name)
        if verdict is None:
            verdict = self._judge(name[-_MAX_NAME_CHARACTERS:])
            _remember(self._remembered, name, verdict)
        return verdict

    def in_path(self, path: str) -> bool:
        """Tell whether any segment of `user.credentials[0].value` is the name of a secret."""
        verdict = self._remembered_paths.get(path)
        if verdict is None:
            verdict = any(self(segment) for segment in _SEGMENTS(path) if segment)
            _remember(self._remembered_paths, path, verdict)
        return verdict

    def _judge(self, name: str) -> bool:
        words = [word.lower() for word in _WORDS(name)]
        if "".join(words) in self._allowed:
            return False
        for start in range(len(words)):
            for end in range(start + 1, min(start + self._window, len(words)) + 1):
                term = "".join(words[start:end])
                if term in self.more:
                    return True
                if self._is_term(term, words[end:]):
                    return True
        return False

    @staticmethod
    def _is_term(term: str, rest: list[str]) -> bool:
        if term in LAST_TERMS:
            return not rest
        stem = term.removesuffix("s")
        if stem not in TERMS and not stem.endswith(GLUED_ENDS):
            return False
        return not rest or rest[-1] not in _HARMLESS_ENDS


def _remember(verdicts: dict[str, bool], name: str, verdict: bool) -> None:
    if len(name) <= _MAX_REMEMBERED_CHARACTERS:
        if len(verdicts) >= _MAX_REMEMBERED:  # names made of data: begin anew
            verdicts.clear()
        verdicts[name] = verdict


def _joined(name: str) -> str:
    return "".join(_WORDS(name)).lower()
