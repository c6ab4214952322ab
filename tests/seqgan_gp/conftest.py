"""Fixtures that several tests of text share."""

import pytest

import gan_core.files
from gan_core import pool
from seqgan_gp import sources


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, on a disk that needs no flushing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(folder))
    monkeypatch.setattr(gan_core.files, "sync", lambda path: None)
    return folder


@pytest.fixture
def divided(monkeypatch):
    """Divide sources into parts of about so many bytes, for so many processes."""

    def dividing(size, processes=1):
        monkeypatch.setattr(sources, "PART", size)
        monkeypatch.setattr("seqgan_gp.hub.PART", size)
        monkeypatch.setattr("seqgan_gp.parquet.PART", size)
        monkeypatch.setattr(pool, "processors", lambda: processes)

    dividing(1 << 26)
    return dividing
