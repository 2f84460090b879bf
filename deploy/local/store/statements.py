"""One SQL statement as the store must know it: verb, format, where an INSERT's data begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditbus.deploy.local.store.errors import BadRequest, ErrorCode
from auditbus.deploy.local.store.tokens import Kind, Token, tokenize

__all__ = ["Statement", "parse_statement"]

# A server reads 256 KiB of SQL (max_query_size) and any amount of data. What follows VALUES may be
# expressions, so the guard reads it: hence a limit. Larger inserts use a FORMAT, as clients do.
_LONGEST_SQL_BYTES = 256 * 1024
_LONGEST_VALUES_BYTES = 4 * 1024 * 1024

# Data begins after the line of the FORMAT clause: ParserInsertQuery.cpp.
_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement.

    Attributes:
        sql: what the engine parses, without an INSERT's FORMAT clause and data.
        tokens: the tokens of `sql`.
        format: the name in the FORMAT clause, of input or of output.
        data: what follows an INSERT's FORMAT clause; None for every other statement.
    """

    sql: str
    tokens: tuple[Token, ...]
    format: str | None
    data: memoryview | None

    @property
    def verb(self) -> str:
        """The first keyword in upper case, past opening brackets: `(SELECT 1) UNION ALL …`."""
        return _verb(self.tokens)


def parse_statement(text: bytes) -> Statement:
    """Split one statement from its data.

    Raises:
        BadRequest: no or more than one statement, too long, not UTF-8, or unclosed quotes.
    """
    tokens: list[Token] = []
    depth = 0
    longest = _LONGEST_SQL_BYTES
    takes_data = False
    for token in tokenize(text):
        depth += token.is_sign("(") - token.is_sign(")")
        tokens.append(token)
        if len(tokens) == 1:
            takes_data = token.is_word("INSERT")
        if token.is_word("VALUES") and takes_data:
            takes_data, longest = False, _LONGEST_VALUES_BYTES
        if token.end > longest:
            raise BadRequest(ErrorCode.QUERY_IS_TOO_LARGE, f"more than {longest} bytes of SQL")
        if takes_data and depth == 0:
            if token.is_word("SELECT", "WITH", "FROM"):
                takes_data = False
            elif _ends_format_clause(tokens):
                return _insert_with_data(text, tokens)
    tokens = _without_last_semicolon(tokens)
    return Statement(_sql(text), tuple(tokens), _output_format(tokens), None)


def _verb(tokens: tuple[Token, ...]) -> str:
    first = next((token for token in tokens if not token.is_sign("(")), None)
    return first.text.upper() if first is not None and first.kind is Kind.WORD else ""


def _ends_format_clause(tokens: list[Token]) -> bool:
    # `FORMAT Values` does not come here: it may hold expressions, so it stays in the SQL.
    return len(tokens) > 1 and tokens[-2].is_word("FORMAT") and tokens[-1].kind is Kind.WORD


def _insert_with_data(text: bytes, tokens: list[Token]) -> Statement:
    *statement, _, name = tokens
    before_data = _BEFORE_DATA.match(text, name.end)
    data_start = before_data.end() if before_data else name.end
    sql = _sql(text[: statement[-1].end])
    return Statement(sql, tuple(statement), name.text, memoryview(text)[data_start:])


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
