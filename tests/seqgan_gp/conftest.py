"""Fixtures that several tests of text share."""

import pytest

import gan_core.storage.sealed
from gan_core.runtime import pool
from seqgan_gp.sources.base import Source


@pytest.fixture
def cache(cache, monkeypatch):
    """A cache of its own, on a disk that needs no flushing."""
    monkeypatch.setattr(gan_core.storage.sealed, "sync", lambda path: None)
    return cache


@pytest.fixture
def readings(monkeypatch):
    """How often a source was read through, as a list that grows."""
    passes = []
    numbered_blocks = Source.numbered_blocks

    def counted(self, chunk=None):
        passes.append(self.description)
        return numbered_blocks(self, chunk)

    monkeypatch.setattr(Source, "numbered_blocks", counted)
    return passes


@pytest.fixture
def divided(monkeypatch):
    """Divide sources into chunks of about so many bytes, for so many processes."""

    def dividing(size, processes=1):
        for module in ("files", "hub", "parquet"):
            monkeypatch.setattr(f"seqgan_gp.sources.{module}.CHUNK", size)
        monkeypatch.setattr(pool, "processors", lambda: processes)

    dividing(1 << 26)
    return dividing
