"""The lexer of the embedded store: strings, comments and names end where ClickHouse ends them."""

import pytest

from auditbus.deploy.local.store.errors import BadRequest
from auditbus.deploy.local.store.statements import parse_statement
from auditbus.deploy.local.store.tokens import Kind, tokenize


def kinds_and_texts(sql: str) -> list[tuple[Kind, str]]:
    return [(token.kind, token.text) for token in tokenize(sql.encode())]


@pytest.mark.parametrize(
    ("sql", "content"),
    [
        ("'file(1)'", "file(1)"),
        (r"'it\'s'", "it's"),
        ("'it''s'", "it's"),
        (r"'\\'", "\\"),
        (r"'\x66\n'", "f\n"),
        ("'/* -- '", "/* -- "),
        ("$$file('x')$$", "$$file('x')$$"),
        ("$tag$ $$ ' $tag$", "$tag$ $$ ' $tag$"),
        ("\u2018abc\u2019", "abc"),
        ("x'2766'", "x'2766'"),
    ],
)
def test_a_string_is_one_token_with_its_content(sql: str, content: str) -> None:
    assert kinds_and_texts(sql) == [(Kind.STRING, content)]


@pytest.mark.parametrize(
    "sql", ['"file"', "`file`", r"`fil\x65`", r'"f\ile"', "\u201cfile\u201d", "`file` -- comment"]
)
def test_a_quoted_name_is_read_through_its_quotes(sql: str) -> None:
    assert kinds_and_texts(sql) == [(Kind.QUOTED, "file")]


def test_a_hexadecimal_literal_knows_no_escapes() -> None:
    sql = r"x'\' file"
    assert kinds_and_texts(sql)[-1] == (Kind.WORD, "file")


COMMENTS = [
    "/**/",
    "/* /* nested */ */",
    "-- to the end\n",
    "// to the end\n",
    "#! too\n",
    "# too\n",
]
SPACES = [" ", "\n", "\t\v\f\r", "\u00a0", "\u3000", "\u2003", "\ufeff", "\u0085"]


@pytest.mark.parametrize("gap", COMMENTS + SPACES)
def test_comments_and_white_space_are_no_tokens(gap: str) -> None:
    assert kinds_and_texts(f"file{gap}(") == [(Kind.WORD, "file"), (Kind.SIGN, "(")]


@pytest.mark.parametrize(
    "sql", ["'open", '"open', "`open", "\u2018open", "/* open", "/* /* */", "a\0b"]
)
def test_what_is_never_closed_is_refused(sql: str) -> None:
    with pytest.raises(BadRequest):
        list(tokenize(sql.encode()))


@pytest.mark.parametrize(
    "sql", ["1e--", "0x$$", "1.5e-'x'", "0x1p+x", "t.1e--\n", "1 \\Gx'\\' --'", "a\0b"]
)
def test_what_may_be_split_in_two_ways_is_refused(sql: str) -> None:
    with pytest.raises(BadRequest):
        list(tokenize(sql.encode()))


@pytest.mark.parametrize("sql", ["1e-5", "1.5E+3", "0x1F - 1", "t.1", "1name", "2 -- x", "10-3"])
def test_numbers_pass(sql: str) -> None:
    assert list(tokenize(sql.encode()))


def test_ends_are_byte_offsets() -> None:
    sql = "ä 'ö' ü"
    assert [token.end for token in tokenize(sql.encode())][-1] == len(sql.encode())


@pytest.mark.parametrize(
    ("text", "sql", "settings", "data"),
    [
        (b"INSERT INTO t FORMAT TSV\n1\n2", "INSERT INTO t", "", b"1\n2"),
        (b"insert into t (a, b) format CSV {}", "insert into t (a, b)", "", b"{}"),
        (b"INSERT INTO t FORMAT Native\r\n\x00\xff'", "INSERT INTO t", "", b"\x00\xff'"),
        (b"INSERT INTO t FORMAT TSV\n\n1", "INSERT INTO t", "", b"\n1"),
        (b"INSERT INTO t FORMAT `CSV`\n1;", "INSERT INTO t", "", b"1;"),
        (b"/* FORMAT x */INSERT INTO t FORMAT TSV \n", "/* FORMAT x */INSERT INTO t", "", b""),
        (b"INSERT INTO t SETTINGS a = 1 FORMAT CSV\n1", "INSERT INTO t", " SETTINGS a = 1", b"1"),
        (b"INSERT INTO t VALUES (1), ('a\n\n;');\n", "INSERT INTO t", "", b"(1), ('a\n\n;')"),
        (b"INSERT INTO t (a) FORMAT Values (1)", "INSERT INTO t (a)", "", b"(1)"),
        (b"INSERT INTO t SETTINGS a = 'VALUES' VALUES(1)", None, " SETTINGS a = 'VALUES'", b"(1)"),
    ],
)
def test_the_data_of_an_insert_begins_after_its_format(
    text: bytes, sql: str | None, settings: str, data: bytes
) -> None:
    statement = parse_statement(text)
    assert statement.data is not None
    assert bytes(statement.data.content) == data
    assert statement.data.settings == settings
    assert sql is None or statement.sql == sql


def test_only_values_are_read_for_expressions() -> None:
    values = parse_statement(b"INSERT INTO t VALUES (now())").data
    csv = parse_statement(b"INSERT INTO t FORMAT CSV\nnow()").data
    assert values is not None
    assert [token.text for token in values.expressions] == ["(", "now", "(", ")", ")"]
    assert csv is not None
    assert csv.expressions == ()


@pytest.mark.parametrize("text", [b"INSERT INTO t SELECT format FROM x", b"SELECT format FROM t"])
def test_a_query_brings_no_data(text: bytes) -> None:
    statement = parse_statement(text)
    assert statement.data is None
    assert statement.sql == text.decode()


def test_an_insert_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequest):
        parse_statement(b"INSERT INTO t")


@pytest.mark.parametrize(
    ("text", "output_format"),
    [
        (b"SELECT 1\n FORMAT Native", "Native"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1;", "CSV"),
        (b"SELECT format FROM t", None),
        (b"SELECT (SELECT 1 FORMAT x)", None),
        (b"SELECT 'FORMAT x'", None),
    ],
)
def test_the_output_format_is_the_last_clause(text: bytes, output_format: str | None) -> None:
    assert parse_statement(text).output_format == output_format


@pytest.mark.parametrize(
    "text", [b"", b" -- nothing\n", b";", b"SELECT 1; SELECT 2", b"SELECT '\xff'"]
)
def test_no_or_several_statements_are_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_statement(text)


def test_a_last_semicolon_is_allowed() -> None:
    assert parse_statement(b"(SELECT 1) ; ;").verb == "SELECT"


def test_sql_is_bounded_and_data_is_not() -> None:
    megabyte = b"x" * (1 << 20)
    assert parse_statement(b"INSERT INTO t FORMAT RawBLOB\n" + megabyte).data is not None
    with pytest.raises(BadRequest):
        parse_statement(b"SELECT '" + megabyte + b"'")
