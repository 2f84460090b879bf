"""Results of the embedded store, block by block."""

import pytest

from auditbus.deploy.local.store.results import is_streamable, without_repeated_header


@pytest.mark.parametrize(
    ("blocks", "lines", "whole"),
    [
        ([b"1\n", b"2\n"], 0, b"1\n2\n"),
        ([b'"a"\n1\n', b'"a"\n2\n'], 1, b'"a"\n1\n2\n'),
        ([b"a\nUInt8\n1\n", b"a\nUInt8\n2\n"], 2, b"a\nUInt8\n1\n2\n"),
        ([b'"a\nb"\n1\n', b'"a\nb"\n2\n'], 1, b'"a\nb"\n1\n2\n'),
        ([b'"a""\nb"\n1\n', b'"a""\nb"\n2\n'], 1, b'"a""\nb"\n1\n2\n'),
        ([], 1, b""),
    ],
)
def test_a_header_comes_once(blocks: list[bytes], lines: int, whole: bytes) -> None:
    assert b"".join(without_repeated_header(blocks, lines)) == whole


def test_formats_that_are_one_document_are_not_streamed() -> None:
    assert is_streamable("JSONEachRow")
    assert not is_streamable("JSON")
    assert not is_streamable("Parquet")
