"""Files that users name: what is packed or endless is read only so far."""

from pathlib import Path

import pytest

from gan_core.errors import DataError
from gan_core.storage import inputs
from gan_core.storage.inputs import SURELY_UNPACKED, Unpacking, most_unpacked, read_limited
from robustness.mutations import gzip_bomb


def unpacked(path, **options):
    """How many bytes a gzip file holds."""
    with path.open("rb") as raw:
        stream = Unpacking(raw, "a.gz", **options)
        return sum(map(len, iter(lambda: stream.read(1 << 22), b"")))


def test_a_packed_file_may_hold_much_but_not_everything(tmp_path, monkeypatch):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip_bomb(b"\0", 1 << 26))
    assert unpacked(path) == 1 << 26 < SURELY_UNPACKED
    path.write_bytes(gzip_bomb(b"\0", 1 << 28))
    assert unpacked(path, times=2000) == 1 << 28
    with pytest.raises(DataError, match=r"a\.gz unpacks to more than .* bytes, over 200 times its size: .* trusted"):
        unpacked(path)
    with path.open("rb") as raw, pytest.raises(DataError, match=r"a\.gz unpacks"):
        Unpacking(raw, "a.gz").read()
    monkeypatch.setattr(inputs, "UNPACKED_FIRST", 0)
    with path.open("rb") as raw:
        stream = Unpacking(raw, "a.gz")
        assert len(stream.read(1 << 20)) == 1 << 20
        with pytest.raises(DataError, match=r"a\.gz unpacks"):
            stream.read()
    assert most_unpacked(10) == SURELY_UNPACKED and most_unpacked(1 << 30, 3) == 3 << 30


def test_nothing_is_read_beyond_a_limit(tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    assert read_limited(tmp_path / "a", 100) == bytes(100)
    for path in (tmp_path / "a", Path("/dev/zero"), tmp_path):
        with pytest.raises(ValueError, match=r"larger|regular"):
            read_limited(path, 99)
    with pytest.raises(FileNotFoundError):
        read_limited(tmp_path / "missing", 99)
