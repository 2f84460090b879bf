"""One SQL statement as the store must know it: verb, format, where an INSERT's data begins.

The engine is never given an INSERT with its data behind it: chDB ends such data at an empty line,
and runs what follows as a further statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditbus.deploy.local.store.errors import BadRequest, ErrorCode
from auditbus.deploy.local.store.tokens import Kind, Token, tokenize

__all__ = ["InlineData", "Statement", "parse_statement"]

# As a server's max_query_size; data is not counted.
_LONGEST_SQL_BYTES = 256 * 1024
# Values may be expressions, so the guard reads them: hence a limit. Larger inserts use a FORMAT.
_LONGEST_VALUES_BYTES = 4 * 1024 * 1024

# Data begins after the line of the FORMAT clause: ParserInsertQuery.cpp.
_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass(frozen=True, slots=True)
class InlineData:
    """What an INSERT brings along, `VALUES …` as the format Values.

    Attributes:
        settings: the statement's SETTINGS clause, or an empty text.
        format: the name of the input format.
        content: the data itself.
        expressions: its tokens where the format may hold expressions, which only Values does.
    """

    settings: str
    format: str
    content: memoryview
    expressions: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sql: its text; of an INSERT with data, what stands before SETTINGS, FORMAT and VALUES.
        tokens: every token of it but the data's.
        output_format: the name in the FORMAT clause of a query.
        data: what an INSERT brings along.
    """

    sql: str
    tokens: tuple[Token, ...]
    output_format: str | None = None
    data: InlineData | None = None

    @property
    def verb(self) -> str:
        """The first keyword in upper case, past opening brackets: `(SELECT 1) UNION ALL …`."""
        first = next((token for token in self.tokens if not token.is_sign("(")), None)
        return first.text.upper() if first is not None and first.kind is Kind.WORD else ""


def parse_statement(text: bytes) -> Statement:
    """Split one statement from its data.

    Raises:
        BadRequest: no or more than one statement, too long, not UTF-8, or unclosed quotes.
    """
    tokens: list[Token] = []
    depth = 0
    settings_start: int | None = None
    awaits_data = False
    for token in tokenize(text):
        tokens.append(token)
        depth += token.is_sign("(") - token.is_sign(")")
        if token.end > _LONGEST_SQL_BYTES:
            raise BadRequest(
                ErrorCode.QUERY_IS_TOO_LARGE, f"over {_LONGEST_SQL_BYTES} bytes of SQL"
            )
        if len(tokens) == 1:
            awaits_data = token.is_word("INSERT")
        elif not awaits_data or depth:
            continue
        elif token.is_word("SELECT", "WITH", "FROM"):
            awaits_data = False
        elif token.is_word("SETTINGS"):
            settings_start = len(tokens) - 1
        elif token.is_word("VALUES") or (token.is_name and tokens[-2].is_word("FORMAT")):
            return _insert(text, tokens, settings_start)
    if awaits_data:
        raise BadRequest(ErrorCode.SYNTAX_ERROR, "an INSERT needs VALUES, a FORMAT or a SELECT")
    tokens = _without_last_semicolon(tokens)
    return Statement(_sql(text), tuple(tokens), _output_format(tokens))


def _insert(text: bytes, tokens: list[Token], settings_start: int | None) -> Statement:
    last = tokens[-1]
    clause = len(tokens) - (2 if tokens[-2].is_word("FORMAT") else 1)  # of FORMAT or VALUES
    into = clause if settings_start is None else settings_start
    into_end, clause_start = tokens[into - 1].end, tokens[clause - 1].end
    settings = _sql(text[into_end:clause_start])
    content = _data(text, last.end)
    expressions: tuple[Token, ...] = ()
    if last.text.upper() == "VALUES":
        content = _without_semicolon(content)
        expressions = tuple(tokenize(bytes(content)))
    data = InlineData(settings, last.text, content, expressions)
    return Statement(_sql(text[:into_end]), tuple(tokens), data=data)


def _data(text: bytes, start: int) -> memoryview:
    before = _BEFORE_DATA.match(text, start)
    return memoryview(text)[start if before is None else before.end() :]


def _without_semicolon(values: memoryview) -> memoryview:
    if len(values) > _LONGEST_VALUES_BYTES:
        reason = f"over {_LONGEST_VALUES_BYTES} bytes of VALUES: use another FORMAT"
        raise BadRequest(ErrorCode.QUERY_IS_TOO_LARGE, reason)
    return memoryview(bytes(values).rstrip(b"; \t\r\n"))


def _without_last_semicolon(tokens: list[Token]) -> list[Token]:
    while tokens and tokens[-1].is_sign(";"):
        tokens.pop()
    if not tokens:
        raise BadRequest(ErrorCode.SYNTAX_ERROR, "empty query")
    if any(token.is_sign(";") for token in tokens):
        raise BadRequest(ErrorCode.SYNTAX_ERROR, "multi-statements are not allowed")
    return tokens


def _output_format(tokens: list[Token]) -> str | None:
    """Return the name of a FORMAT clause, which ends a query or stands before its SETTINGS."""
    depth = 0
    for index in range(len(tokens) - 1, 0, -1):
        depth += tokens[index].is_sign(")") - tokens[index].is_sign("(")
        at_end = index == len(tokens) - 1 or tokens[index + 1].is_word("SETTINGS")
        if depth == 0 and at_end and tokens[index].is_name and tokens[index - 1].is_word("FORMAT"):
            return tokens[index].text
    return None


def _sql(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(ErrorCode.SYNTAX_ERROR, "the statement is not UTF-8") from error
