"""Fixtures that several tests of text share."""

import pytest

import gan_core.storage.sealed
from gan_core.runtime import pool
from seqgan_gp.sources import open as sources
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

    def counted(self, part=None):
        passes.append(self.description)
        return numbered_blocks(self, part)

    monkeypatch.setattr(Source, "numbered_blocks", counted)
    return passes


@pytest.fixture
def divided(monkeypatch):
    """Divide sources into parts of about so many bytes, for so many processes."""

    def dividing(size, processes=1):
        monkeypatch.setattr(sources, "PART", size)
        monkeypatch.setattr("seqgan_gp.sources.hub.PART", size)
        monkeypatch.setattr("seqgan_gp.sources.parquet.PART", size)
        monkeypatch.setattr(pool, "processors", lambda: processes)

    dividing(1 << 26)
    return dividing
