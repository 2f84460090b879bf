"""Results as chunks of bytes, one block of the engine each, so that memory stays flat.

chDB formats every block of a streamed result as if it were a whole result. For formats whose
results can be joined that is the same bytes; for text formats with a header it repeats the header,
which is dropped here from all but the first. Every other format (JSON, Parquet, Pretty …) is made
whole in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["header_lines", "is_streamable", "without_repeated_header"]

# Header lines of each format that can be streamed (names in lower case). Tried against chDB 26.9:
# the chunks joined equal the whole result.
_HEADER_LINES = {
    "csv": 0,
    "csvwithnames": 1,
    "csvwithnamesandtypes": 2,
    "jsoncompacteachrow": 0,
    "jsoncompacteachrowwithnames": 1,
    "jsoncompacteachrowwithnamesandtypes": 2,
    "jsoneachrow": 0,
    "jsonlines": 0,
    "lineasstring": 0,
    "native": 0,
    "ndjson": 0,
    "rawblob": 0,
    "rowbinary": 0,
    "tabseparated": 0,
    "tabseparatedraw": 0,
    "tabseparatedwithnames": 1,
    "tabseparatedwithnamesandtypes": 2,
    "tsv": 0,
    "tsvraw": 0,
    "tsvwithnames": 1,
    "tsvwithnamesandtypes": 2,
}


def is_streamable(output_format: str) -> bool:
    """Whether results in this format can be sent block by block."""
    return output_format.lower() in _HEADER_LINES


def header_lines(output_format: str) -> int:
    """Return how many lines of header a result has, also one without rows."""
    return _HEADER_LINES[output_format.lower()]


def without_repeated_header(blocks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """Yield the blocks; all but the first without the `lines` of header that they repeat."""
    header: bytes | None = None
    for block in blocks:
        if header is None:
            header = block[: _header_length(block, lines)]
            yield block
        else:
            yield block.removeprefix(header)


def _header_length(block: bytes, lines: int) -> int:
    end = 0
    for _ in range(lines):
        start = end
        end = block.find(b"\n", start) + 1
        # A name in CSV may hold a line break, inside quotes.
        while block.count(b'"', start, end) % 2 and end:
            end = block.find(b"\n", end) + 1
    return end
