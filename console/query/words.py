r"""Free text as people type it: what each term means, and the condition that it becomes.

Every term must hold, wherever it stands: in the action, the description, the account's name, the
user, the targets, the address, the location, the device or the error. Case does not matter.

    backup           the whole word
    repo-12          these words side by side, as typed; so an e-mail address
    "quota exceeded" likewise, with the space
    stor*            words that begin so; no index helps, so it is slower
    81.2.69.142      that address, as the event's own or in its text
    81.2.69.0/24     addresses of that network; so IPv6 addresses, however they are written
    a UUID           the event of that id, or those that name it

A word is made of ASCII letters and digits and of everything beyond ASCII, as the text index has it
(`splitByNonAlpha`): scripts without spaces are found by whole runs, or by their beginning.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from auditbus.console.query.addresses import AddressRange, parse_addresses

__all__ = ["Words", "parse_words", "whole"]

_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_TOKEN = re.compile("[0-9A-Za-z\u0080-\U0010ffff]+")
_BETWEEN = r"[^0-9A-Za-z\x{80}-\x{10FFFF}]"
_MOST_CHARACTERS = 500
_MOST_TERMS = 20


@dataclass(frozen=True, slots=True)
class Words:
    """What a text asks for; everything must hold.

    Attributes:
        tokens: words that must occur: what the index is asked.
        patterns: regular expressions (RE2) on the text in small letters; with `tokens` they say
            exactly what is asked.
        plain: the same for the terms that are single words, which the index answers exactly.
        addresses: single IPv4 addresses, each with its pattern: one of the two must hold.
        networks: what the event's own address must lie in.
        ids: UUIDs, each with its pattern: the event's id, or in its text.
    """

    tokens: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    addresses: tuple[tuple[AddressRange, str], ...] = ()
    networks: tuple[AddressRange, ...] = ()
    ids: tuple[tuple[UUID, str], ...] = ()


@dataclass(slots=True)
class _Found:
    tokens: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    addresses: list[tuple[AddressRange, str]] = field(default_factory=list)
    networks: list[AddressRange] = field(default_factory=list)
    ids: list[tuple[UUID, str]] = field(default_factory=list)

    def add(self, term: str, *, quoted: bool) -> None:
        is_prefix = not quoted and term.endswith("*")
        tokens = _TOKEN.findall(term)
        if not tokens:
            return  # punctuation between words
        if not quoted and (id_ := _uuid(term)):
            self.ids.append((id_, whole(term)))
        elif not quoted and (network := _network(term)):
            if network.first == network.last and ":" not in term:
                self.addresses.append((network, whole(term)))
                self.tokens += tokens
            else:
                self.networks.append(network)
        elif is_prefix:
            self.patterns.append(_beginning(term))
            self.tokens += tokens[:-1]
        else:
            self.tokens += tokens
            (self.plain if len(tokens) == 1 else self.patterns).append(whole(term))


def parse_words(text: str) -> Words:
    """Take a text apart. Raises ValueError where it asks for nothing, or for too much."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"longer than {_MOST_CHARACTERS} characters")
    found = _Found()
    count = 0
    for count, (term, quoted) in enumerate(_terms(text), 1):  # noqa: B007
        found.add(term, quoted=quoted)
    if count > _MOST_TERMS:
        raise ValueError(f"more than {_MOST_TERMS} words")
    words = Words(
        tuple(found.tokens),
        tuple(found.patterns),
        tuple(found.plain),
        tuple(found.addresses),
        tuple(found.networks),
        tuple(found.ids),
    )
    if words == Words():
        raise ValueError("without a letter or digit")
    return words


def whole(term: str) -> str:
    """Return the expression that finds `term`'s words side by side, with nothing joined to them.

    Punctuation within the term counts, around it does not; spaces may be of any number.
    """
    return f"(?:^|{_BETWEEN}){_literal(term)}(?:{_BETWEEN}|$)"


def _beginning(term: str) -> str:
    return f"(?:^|{_BETWEEN}){_literal(term)}"


def _literal(term: str) -> str:
    first, *_, last = (match for match in (*_TOKEN.finditer(term), *_TOKEN.finditer(term)))
    inner = term[first.start() : last.end()].lower()
    return r"\s+".join(map(re.escape, inner.split()))


def _terms(text: str) -> Iterator[tuple[str, bool]]:
    for match in _TERM.finditer(text):
        quoted, plain = match.groups()
        yield (quoted, True) if plain is None else (plain, False)


def _uuid(term: str) -> UUID | None:
    try:
        return UUID(term) if len(term) == 36 else None  # noqa: PLR2004  # as it is written out
    except ValueError:
        return None


def _network(term: str) -> AddressRange | None:
    try:
        ipaddress.ip_network(term, strict=False)
    except ValueError:
        return None
    return parse_addresses(term)
