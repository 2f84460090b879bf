"""Thrift's compact protocol, as far as a Parquet footer needs it: structs of unknown fields.

What is not understood stays as it is: a footer can be changed without knowing all that stands in
it. See https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

__all__ = ["Each", "Struct", "decode_struct", "encode_struct"]

Struct: TypeAlias = "dict[int, tuple[int, Any]]"
"""Type and value by field id. Lists are pairs of the type of their elements and a Python list.

A struct within may also be the bytes of one, written already.
"""
Each: TypeAlias = "Mapping[int, Callable[[Struct], bytes]]"
"""By field id of a list of structs: what to keep of each of them."""

_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY = 1, 2, 3, {4, 5, 6}, 7, 8
_LISTS, _STRUCT = {9, 10}, 12
_LONG_LIST = 15


def decode_struct(data: bytes, each: Each = MappingProxyType({})) -> Struct:
    """Read one struct. Raises ValueError for what is none, or has a map in it.

    `each` names fields of it that are lists of structs: what its function returns of one is kept
    in its place, so that a long list is never there in parts, which take many times the room.
    """
    try:
        return _Reader(data).struct(each)
    except IndexError:
        raise ValueError("a struct breaks off") from None


def encode_struct(struct: Struct) -> bytes:
    """Write one struct."""
    written = bytearray()
    _put_struct(written, struct)
    return bytes(written)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self, each: Each = MappingProxyType({})) -> Struct:
        found: Struct = {}
        number = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 0x0F
            number = number + delta if delta else _from_zigzag(self._varint())
            keep = each.get(number)
            found[number] = (kind, None if kind in {_TRUE, _FALSE} else self._value(kind, keep))
        return found

    def _value(self, kind: int, keep: Callable[[Struct], bytes] | None = None) -> Any:
        if kind in _INTEGERS:
            return _from_zigzag(self._varint())
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct()
        if kind in _LISTS:
            header = self._byte()
            size, of = header >> 4, header & 0x0F
            size = self._varint() if size == _LONG_LIST else size
            return of, [
                keep(self.struct()) if keep and of == _STRUCT else self._value(of)
                for _ in range(size)
            ]
        if kind in {_TRUE, _FALSE, _BYTE}:  # a boolean in a list takes a byte
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ValueError(f"no type {kind} is known here")

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _byte(self) -> int:
        byte = self._data[self._at]
        self._at += 1
        return byte

    def _bytes(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise IndexError
        self._at += size
        return found


def _put_struct(into: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(struct.items()):
        if 0 < number - before < 16:  # noqa: PLR2004  # four bits
            into.append((number - before) << 4 | kind)
        else:
            into.append(kind)
            _put_varint(into, _to_zigzag(number))
        if kind not in {_TRUE, _FALSE}:
            _put_value(into, kind, value)
        before = number
    into.append(0)


def _put_value(into: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _put_varint(into, _to_zigzag(value))
    elif kind == _BINARY:
        _put_varint(into, len(value))
        into += value
    elif kind == _STRUCT:
        if isinstance(value, bytes):
            into += value
        else:
            _put_struct(into, value)
    elif kind in _LISTS:
        of, items = value
        if len(items) < _LONG_LIST:
            into.append(len(items) << 4 | of)
        else:
            into.append(_LONG_LIST << 4 | of)
            _put_varint(into, len(items))
        for item in items:
            _put_value(into, of, item)
    elif kind == _DOUBLE:
        into += value
    else:
        into.append(value)


def _put_varint(into: bytearray, value: int) -> None:
    while value > 0x7F:  # noqa: PLR2004  # seven bits
        into.append(value & 0x7F | 0x80)
        value >>= 7
    into.append(value)


def _from_zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _to_zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1
