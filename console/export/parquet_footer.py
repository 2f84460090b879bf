"""Parquet's footer: one for several files whose row groups lie one after another in a new file.

The ids of the fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from auditbus.console.export.thrift_compact import Struct, decode_struct, encode_struct

__all__ = ["MAGIC", "Footer"]

MAGIC = b"PAR1"
_I64 = 6
_STRUCT = 12
# FileMetaData
_NUM_ROWS, _ROW_GROUPS = 3, 4
# RowGroup
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
# ColumnChunk
_CHUNK_OFFSET, _META_DATA = 2, 3
_INDEXES = (4, 5, 6, 7)  # of pages: they hold offsets of their own, and no reader needs them
# ColumnMetaData: the first data, index and dictionary page, and the Bloom filter
_PAGE_OFFSETS = (9, 10, 11, 14)


class Footer:
    """What the footers that were added say together."""

    def __init__(self) -> None:
        """Nothing was added yet."""
        self._whole: Struct = {}
        self._groups: list[bytes] = []  # written: in parts they take many times the room
        self.rows = 0

    @property
    def is_empty(self) -> bool:
        """Whether none was added."""
        return not self._whole

    def add(self, footer: bytes, shift: int) -> int:
        """Add a file's footer; its row groups now lie `shift` bytes later. Return its rows.

        The columns are those of the first. Raises ValueError for what is no footer.
        """

        def moved(group: Struct) -> bytes:
            _move(group, shift)
            return encode_struct(group)

        try:
            told = decode_struct(footer, {_ROW_GROUPS: moved})
            rows, (_, groups) = int(told[_NUM_ROWS][1]), told[_ROW_GROUPS][1]
        except (KeyError, TypeError):
            raise ValueError("no Parquet footer") from None
        self._whole = self._whole or {**told, _ROW_GROUPS: (told[_ROW_GROUPS][0], None)}
        self._groups += groups
        self.rows += rows
        return rows

    def to_bytes(self) -> bytes:
        """Return the end of the file: the footer, its length and the magic number."""
        whole = {
            **self._whole,
            _NUM_ROWS: (_I64, self.rows),
            _ROW_GROUPS: (self._whole[_ROW_GROUPS][0], (_STRUCT, self._groups)),
        }
        content = encode_struct(whole)
        return content + len(content).to_bytes(4, "little") + MAGIC


def _move(group: Struct, shift: int) -> None:
    group.pop(_ORDINAL, None)
    _add(group, _GROUP_OFFSET, shift)
    _, chunks = group[_COLUMNS][1]
    for chunk in chunks:
        for index in _INDEXES:
            chunk.pop(index, None)
        _add(chunk, _CHUNK_OFFSET, shift)
        for offset in _PAGE_OFFSETS:
            _add(chunk[_META_DATA][1], offset, shift)


def _add(struct: Struct, number: int, shift: int) -> None:
    kind, value = struct.get(number, (0, 0))
    if value:  # 0, where a writer does not tell
        struct[number] = (kind, value + shift)
