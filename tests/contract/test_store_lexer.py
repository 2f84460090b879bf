"""The guard's lexer against the engine's own: no string, comment or name ends elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditbus.deploy.local.store.errors import BadRequest
from auditbus.deploy.local.store.tokens import Kind, tokenize
from tests.contract.embedded_store import running_store

# Pieces that open, close, escape or hide something, and names.
QUOTES = ["'", '"', "`", "''", "\\", "\\'", "$", "$$", "$a$", "$1", "x'", "X'", "b'"]
WIDE = [
    "\u2018",
    "\u2019",
    "\u201c",
    "\u201d",
    "\u00a0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\u0085",
    "ä",
]
COMMENTS = ["/*", "*/", "--", "//", "\n", "#", "# ", "#!", "/", "*", "-"]
WORDS = ["file", "url", "(", ")", " ", "1", "0x", "1e", "1.", "p+", ".", ";", "{", "\\G", "\r"]
PIECES = QUOTES + WIDE + COMMENTS + WORDS
STRINGS = {"StringLiteral", "HereDoc"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_store(tmp_path_factory.mktemp("lexer")) as store:
        yield store.client()


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("SELECT x'\\' file")
@example("$a$b$ $a$ file $a$")
@example("1 // '\n, file('x') // '")
@example("'a''' file '''b'")
def test_strings_end_where_the_engine_ends_them(client: Client, sql: str) -> None:
    result = client.query("SELECT tokenizeQuery({sql:String})", {"sql": sql}).first_row[0]
    engine = [(token["begin"], token["end"], token["type"]) for token in result]
    if any(kind.startswith("Error") for _, _, kind in engine):
        return  # the engine's parser refuses it
    try:
        ours = list(tokenize(sql.encode()))
    except BadRequest:
        return  # refused: more careful than the engine
    theirs = {end for _, end, kind in engine if kind in STRINGS}
    assert {token.end for token in ours if token.kind is Kind.STRING} == theirs
    names = {end for _, end, kind in engine if kind in {"BareWord", "QuotedIdentifier"}}
    assert names <= {token.end for token in ours if token.is_name}
