"""Packed request bodies of the embedded store."""

import gzip
import zlib

import lz4.frame
import pytest
from backports import zstd

from auditbus.deploy.local.store import body as store_body
from auditbus.deploy.local.store.body import decompress
from auditbus.deploy.local.store.errors import BadRequest, ErrorCode

DATA = b"an event\n" * 1000
PACKED = {
    "lz4": lz4.frame.compress(DATA),
    "zstd": zstd.compress(DATA),
    "gzip": gzip.compress(DATA),
    "deflate": zlib.compress(DATA),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_what_clients_pack_is_unpacked(encoding: str) -> None:
    assert decompress(PACKED[encoding], encoding) == DATA


@pytest.mark.parametrize("encoding", PACKED)
def test_frames_may_follow_each_other(encoding: str) -> None:
    assert decompress(PACKED[encoding] * 2, encoding) == DATA * 2


@pytest.mark.parametrize("encoding", PACKED)
def test_broken_and_cut_bodies_are_refused(encoding: str) -> None:
    for bad in (b"not packed", PACKED[encoding][:-5]):
        with pytest.raises(BadRequest) as refusal:
            decompress(bad, encoding)
        assert refusal.value.code == ErrorCode.CANNOT_DECOMPRESS


@pytest.mark.parametrize("encoding", PACKED)
def test_a_bomb_is_not_unpacked_beyond_the_bound(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_body, "LARGEST_BODY_BYTES", len(DATA) - 1)
    with pytest.raises(BadRequest) as refusal:
        decompress(PACKED[encoding], encoding)
    assert refusal.value.code == ErrorCode.QUERY_IS_TOO_LARGE


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(BadRequest):
        decompress(DATA, "compress")
