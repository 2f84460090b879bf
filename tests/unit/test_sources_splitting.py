"""Files of every documented form, whole and spoilt, come apart into records."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.console.sources import Chunks, split_lines, split_records
from auditbus.console.sources.records import MAX_RECORD_BYTES, Found, parsed, parsed_event
from auditbus.schemas.errors import InvalidEvent
from tests.source_records import RECORDS, cloudtrail

_KEYS = st.text(max_size=6) | st.sampled_from(["eventVersion", "Records", "items", '},{"', "]"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=12)
    | st.sampled_from(['},{"eventVersion"', "\\", '"', "]}", "\n{", "ä\u2028"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
# An object with this member would be an envelope.
_RECORDS = st.lists(
    st.dictionaries(_KEYS.filter(lambda key: key != "Records"), _VALUES, max_size=4), max_size=6
)


class _Dripping:
    """A file that gives a few bytes at a time."""

    def __init__(self, text: bytes, size: int) -> None:
        self._file, self._size = io.BytesIO(text), size

    def read1(self, _size: int) -> bytes:
        return self._file.read(self._size)

    read = read1


def _read(found: Found, parse: Callable[[bytes], Any] = parsed) -> Found:
    content = found.content
    return found._replace(content=parse(content)) if isinstance(content, bytes) else found


def _found(text: bytes, *, drip: int | None = None, envelope: str = "Records") -> list[Any]:
    """Return the records, and for what is none its place and the reason."""
    file: Any = io.BytesIO(text) if drip is None else _Dripping(text, drip)
    return [
        (f"{found.place} {found.number}", str(found.content))
        if isinstance(found.content, InvalidEvent)
        else found.content
        for found in map(_read, split_records(Chunks(file), envelope))
    ]


def _forms(records: list[dict[str, Any]]) -> dict[str, bytes]:
    compact = [orjson.dumps(record) for record in records]
    spaced = [json.dumps(record, ensure_ascii=False).encode() for record in records]
    pretty = [json.dumps(record, indent=2).encode() for record in records]
    return {
        "ndjson": b"\n".join(compact),
        "ndjson, CRLF, blank lines, a BOM": b"\xef\xbb\xbf" + b"\r\n\r\n".join(spaced) + b"\r\n",
        "array": b"[" + b",".join(compact) + b"]",
        "array over many lines": json.dumps(records, indent=2).encode(),
        "envelope": b'{"Records":[' + b",".join(compact) + b"]}",
        "envelope with spaces": json.dumps({"Records": records}).encode(),
        "envelope with more in it": json.dumps(
            {"kind": "List", "metadata": {"a": 1}, "Records": records, "next": [{"Records": []}]}
        ).encode(),
        "an envelope each, one after another": b"".join(
            b'{"Records":[%b]}' % record for record in compact
        ),
        "an envelope a line": b"\n".join(b'{"Records": [%b]}' % record for record in spaced),
        "an array a line": b"\n".join(b"[%b]" % record for record in compact),
        "objects over many lines": b"\n".join(pretty),
        "objects one after another": b"".join(compact),
        "gzip": gzip.compress(b"\n".join(spaced)),
        "gzip of several members": b"".join(gzip.compress(record + b"\n") for record in compact),
    }


_FORMS = sorted(_forms([]))


@pytest.mark.parametrize("form", _FORMS)
@given(records=_RECORDS, drip=st.integers(1, 200))
def test_every_form_gives_the_same_records(
    form: str, records: list[dict[str, Any]], drip: int
) -> None:
    text = _forms(records)[form]
    assert _found(text) == records
    assert _found(text, drip=drip) == records


def test_an_event_list_of_kubernetes() -> None:
    records = [RECORDS["kubernetes"](number) for number in range(3)]
    whole = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": records}
    for text in (orjson.dumps(whole), json.dumps(whole, indent=1).encode()):
        assert _found(text, envelope="items") == records


@given(text=st.binary(max_size=80) | st.text(alphabet='{}[]",:\\ \n1a', max_size=40))
def test_no_text_whatever_breaks_the_splitter(text: bytes | str) -> None:
    raw = text.encode() if isinstance(text, str) else text
    for drip in (1, 7, 1000):
        _found(raw, drip=drip)
        for found in split_lines(Chunks(_Dripping(raw, drip))):  # type: ignore[arg-type]
            assert found.place == "line"


def _spoilt(form: str, spoil: bytes) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return what is found where the third of five records is `spoil`, and the good ones."""
    records = [cloudtrail(number) for number in range(5)]
    texts = [orjson.dumps(record) for record in records]
    texts[2] = spoil
    if form == "array":
        text = b'{"Records":[' + b",".join(texts) + b"]}"
    elif form == "array over many lines":
        spread = [
            json.dumps(orjson.loads(t), indent=2).encode() if t != spoil else t for t in texts
        ]
        text = b"[\n" + b",\n".join(spread) + b"\n]"
    else:
        text = b"\r\n".join(texts)
    return _found(text), records[:2] + records[3:]


_WHOLE = orjson.dumps(cloudtrail(2))
_SPOILS = {
    "a value that is none": _WHOLE.replace(b"false", b"nope", 1),
    "a quote too few": _WHOLE.replace(b'"aws-cli/2.17.0"', b'"aws-cli/2.17.0', 1),
    "a bracket too few": _WHOLE[:-1],
    "no UTF-8": _WHOLE.replace(b"aws-cli", b"aws\xffcli", 1),
    "a key twice": b'{"eventVersion":"1","eventVersion":"2"}',
    "NaN": _WHOLE.replace(b"false", b"NaN", 1),
    "a whole number that fits nowhere": b'{"eventVersion":123456789012345678901234567890}',
    "nested too deep": b'{"eventVersion":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "cut off": _WHOLE[:300],
    "an array": b'[{"eventVersion":"1"}]',
    "a text": b'"eventVersion"',
    "null": b"null",
    "nonsense": b"eventVersion",
}


@pytest.mark.parametrize(
    ("form", "spoil"),
    [
        (form, spoil)
        for form in ("ndjson", "array", "array over many lines")
        for spoil in _SPOILS
        # An array on a line of its own is no fault: its elements are records.
        if (form, spoil) != ("ndjson", "an array")
    ],
)
def test_a_broken_record_costs_only_itself_and_is_named(form: str, spoil: str) -> None:
    found, good = _spoilt(form, _SPOILS[spoil])
    records = [item for item in found if isinstance(item, dict)]
    rejects = [item for item in found if not isinstance(item, dict)]
    assert records == good
    assert rejects, "nothing was named"
    assert rejects[0][0] == ("line 3" if form == "ndjson" else "record 3")
    assert len(rejects) <= 2


@pytest.mark.parametrize("form", ["ndjson", "array", "array over many lines"])
def test_a_bracket_too_many_costs_nothing_but_is_named(form: str) -> None:
    found, good = _spoilt(form, _WHOLE + b"}")
    records = [item for item in found if isinstance(item, dict)]
    assert records == [*good[:2], cloudtrail(2), *good[2:]]
    assert [item[0] for item in found if not isinstance(item, dict)] == [
        "line 3" if form == "ndjson" else "record 4"
    ]


def test_a_record_that_looks_like_several_is_one() -> None:
    """No part of a record is taken for a record: nobody can smuggle an event in."""
    inner = [cloudtrail(number) for number in range(50, 53)]
    records = [cloudtrail(0), cloudtrail(1, requestParameters={"n": inner}), cloudtrail(2)]
    assert _found(orjson.dumps({"Records": records})) == records
    assert _found(json.dumps({"Records": records}).encode(), drip=100) == records
    huge = cloudtrail(1, requestParameters={"n": [*inner, "x" * (2 * MAX_RECORD_BYTES)]})
    found = _found(orjson.dumps([records[0], huge, records[2]]))
    assert [found[0], found[2]] == [records[0], records[2]]
    assert found[1][0] == "record 2"
    assert len(found) == 3


@pytest.mark.parametrize("form", ["ndjson", "array"])
def test_a_huge_record_is_named_and_not_held(form: str) -> None:
    size_bytes = 64 * 1024 * 1024
    first, last = orjson.dumps(cloudtrail(0)), orjson.dumps(cloudtrail(2))
    join, begin, end = (b"\n", b"", b"") if form == "ndjson" else (b",", b"[", b"]")

    def pieces() -> Iterator[bytes]:
        yield begin + first + join + b'{"eventVersion":"'
        for _ in range(size_bytes // 65536):
            yield b"x" * 65536
        yield b'"}' + join + last + end

    tracemalloc.start()
    try:
        found = list(map(_read, split_records(pieces(), "Records")))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [item.content for item in (found[0], found[2])] == [cloudtrail(0), cloudtrail(2)]
    assert len(found) == 3
    assert "67,108,8" in str(found[1].content)
    assert peak_bytes < size_bytes / 3


def test_an_array_of_any_length_is_not_held() -> None:
    record = orjson.dumps(cloudtrail(1))

    def pieces() -> Iterator[bytes]:
        yield b'{"Records":[' + record
        for _ in range(400):
            yield (b"," + record) * 100
        yield b"]}"

    tracemalloc.start()
    try:
        found = split_records(pieces(), "Records")
        count = sum(not isinstance(item.content, InvalidEvent) for item in found)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 40_001
    assert peak_bytes < 4 * MAX_RECORD_BYTES


@pytest.mark.parametrize("form", ["ndjson", "array"])
def test_gzip_that_ends_early_gives_what_came_before(form: str) -> None:
    records = [cloudtrail(number) for number in range(2000)]
    text = orjson.dumps(records)
    if form == "ndjson":
        text = b"\n".join(orjson.dumps(record) for record in records)
    packed = gzip.compress(text + b"\n")  # the last byte may go with a broken checksum
    found = _found(packed[: len(packed) // 2])
    good = [item for item in found if isinstance(item, dict)]
    assert len(good) > 500
    assert good == records[: len(good)]
    assert "gzip ends early" in found[-1][1]
    assert len(found) - len(good) <= 3
    damaged = bytearray(packed)
    damaged[-5] ^= 1  # the checksum
    found = _found(bytes(damaged))
    assert found[:-1] == records
    assert "gzip is damaged" in found[-1][1]


def test_an_array_that_ends_early_is_named() -> None:
    text = orjson.dumps([cloudtrail(0), cloudtrail(1)])
    assert _found(text[:-1])[:2] == [cloudtrail(0), cloudtrail(1)]
    assert "truncated" in _found(text[:-1])[2][1]
    found = _found(text[:-30])
    assert found[0] == cloudtrail(0)
    assert "record 2" in [place for place, _ in found[1:]]


def test_lines_of_our_own_are_judged_as_before() -> None:
    text = b'\xef\xbb\xbf{"a":1}\r\n\n[1]\n{"b": 2}\n{"c":1,"c":2}\nx'
    found = [_read(item, parsed_event) for item in split_lines(Chunks(io.BytesIO(text)))]
    assert [item.number for item in found] == [1, 3, 4, 5, 6]
    assert [item.content for item in (found[0], found[2])] == [{"a": 1}, {"b": 2}]
    assert "repeated" in str(found[3].content)
