"""SQL as tokens, split where ClickHouse's lexer splits it.

Only boundaries matter to the guard: what is a string, a comment, a name. Where in doubt this lexer
finds more names than ClickHouse does, never fewer: `1file` is a number and a name here.
Source: ClickHouse `src/Parsers/Lexer.cpp`; a contract test compares with the engine's own
`tokenizeQuery()`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from auditbus.deploy.local.store.errors import BadRequest, ErrorCode

__all__ = ["Kind", "Token", "tokenize"]


class Kind(Enum):
    """What a token is; comments and white space are no tokens."""

    WORD = "word"  # a keyword or a bare name
    QUOTED = "quoted"  # a name in "", `` or “”
    STRING = "string"
    NUMBER = "number"
    SIGN = "sign"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is the content of a name or string, unescaped; `end` is the byte offset after it."""

    kind: Kind
    text: str
    end: int

    @property
    def is_name(self) -> bool:
        """Whether it may name a function, a table or an engine."""
        return self.kind in {Kind.WORD, Kind.QUOTED}

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, given in upper case; a quoted name never is."""
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_sign(self, sign: str) -> bool:
        """Whether it is this punctuation."""
        return self.kind is Kind.SIGN and self.text == sign


# White space beyond ASCII that ClickHouse skips: skipWhitespacesUTF8 in src/Common/StringUtils.h.
_WIDE_SPACES = "\x85\xa0\u1680\u180e\u2028\u2029\u202f\u205f\u2060\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200E))
)
_WIDE_SPACE = "|".join(_WIDE_SPACES).encode()
_TOKEN = re.compile(
    rb"(?P<skip>(?:[ \t\n\v\f\r]|" + _WIDE_SPACE + rb")+|--[^\n]*|//[^\n]*|\#[ !][^\n]*)"
    rb"|(?P<comment>/\*)"
    rb"|(?P<literal>[xXbB]'[^']*')"
    rb"|(?P<string>'(?:[^'\\]|\\.|'')*')"
    rb'|(?P<quoted>"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)'
    rb"|\xe2\x80\x98(?P<wide_string>.*?)\xe2\x80\x99"
    rb"|\xe2\x80\x9c(?P<wide_quoted>.*?)\xe2\x80\x9d"
    rb"|(?P<heredoc>(?P<tag>\$\w*\$).*?(?P=tag))"
    # Refused: whether `1e--` begins a comment, and `0x$$` a heredoc, depends on what stands before
    # them, and in `\Gx'` the string begins at x.
    rb"|(?P<odd>[0-9][\w.]*[eEpP][+-](?![0-9])|[0-9]\w*\$|\\|\0)"
    rb"|(?P<number>[0-9]+)(?![A-Za-z_])"
    rb"|(?P<word>[0-9]\w*|(?:[A-Za-z_]|\$\w)[\w$]*)"
    rb"|(?P<unclosed>['\"`]|\xe2\x80[\x98\x9c])"
    rb"|(?P<sign>.)",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\(.)|(['\"`])\3", re.DOTALL)
_CONTROL = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"b": b"\b",
    b"f": b"\f",
    b"a": b"\a",
    b"v": b"\v",
}


def tokenize(sql: bytes) -> Iterator[Token]:
    """Yield the tokens of `sql`, lazily: an INSERT's data need never be looked at.

    Raises:
        BadRequest: what no statement needs and readers may split differently, or a quote or a
            comment that is never closed.
    """
    position = 0
    while match := _TOKEN.match(sql, position):
        position = match.end()
        kind = str(match.lastgroup)
        content = match.group(kind)
        match kind:
            case "skip":
                continue
            case "comment":
                position = _comment_end(sql, position)
                continue
            case "unclosed":
                raise BadRequest(ErrorCode.SYNTAX_ERROR, "a quote is never closed")
            case "string":
                token = Token(Kind.STRING, _unescape(content[1:-1]), position)
            case "quoted":
                token = Token(Kind.QUOTED, _unescape(content[1:-1]), position)
            case "literal" | "heredoc" | "wide_string":
                token = Token(Kind.STRING, _text(content), position)
            case "wide_quoted":
                token = Token(Kind.QUOTED, _text(content), position)
            case "odd":
                raise BadRequest(ErrorCode.SYNTAX_ERROR, f"unexpected {_text(content)!r}")
            case _:
                token = Token(Kind(kind), _text(content), position)
        yield token


def _comment_end(sql: bytes, position: int) -> int:
    depth = 1  # comments nest
    while depth:
        edge = _COMMENT_EDGE.search(sql, position)
        if edge is None:
            raise BadRequest(ErrorCode.SYNTAX_ERROR, "a comment is never closed")
        depth += 1 if edge.group() == b"/*" else -1
        position = edge.end()
    return position


def _unescape(content: bytes) -> str:
    return _text(_ESCAPE.sub(_unescaped, content))


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code, control, quote = escape.groups()
    if code is not None:
        return bytes.fromhex(code.decode())
    return quote if control is None else _CONTROL.get(control, control)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
