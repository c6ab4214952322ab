"""Corpora beyond what 31 bits count."""

import numpy as np
import pytest
import torch

from gan_core.errors import DataError
from gan_core.recipes.plan import settle
from gan_core.runtime.randomness import shuffled
from seqgan_gp.corpus.corpus import Corpus, row_hashes
from seqgan_gp.domain import domain_of
from seqgan_gp.settings import TEXT
from seqgan_gp.sources.open import open_source
from seqgan_gp.tokenizers.characters import ByteTokenizer

pytestmark = pytest.mark.usefixtures("cache")


class TestLarge:
    """Beyond what 31 bits count."""

    def test_rows_are_found(self, tmp_path):
        """In a file of 3 GB that takes no space: it is all holes but for a few rows."""
        length, number = 4096, 3 * (1 << 30) // 4096
        marked = {0: 7, (1 << 31) // length - 1: 9, (1 << 31) // length: 11, number - 1: 13}
        path = tmp_path / "train.bin"
        with path.open("wb") as file:
            file.truncate(number * length)
            for row, symbol in marked.items():
                file.seek(row * length)
                file.write(bytes([symbol]) * length)
        rows = np.memmap(path, np.uint8, "r", shape=(number, length))
        labels = np.broadcast_to(np.int16(-1), (number,))
        corpus = Corpus(rows, rows[:2], ByteTokenizer(), "f", "sparse", {}, labels, labels[:2], ())
        about = settle(TEXT, dict(tokenizer="byte", vocab_size=256, seq_len=length, smoothing=0.0)).settings(TEXT)
        domain = domain_of(about, corpus)
        assert domain.data.num_examples == number and rows.nbytes > 1 << 31
        for row, symbol in marked.items():
            ids = domain.data.batch(np.array([row, row - 1 if row > 1 else 1]), torch.device("cpu"), 0).x.argmax(1)
            assert (ids[0] == symbol).all()
            assert (ids[1] == marked.get(row - 1, 0)).all()

    @pytest.mark.parametrize("size", [(1 << 31) + 11, (1 << 33) + 1, 1 << 40])
    def test_an_epoch_is_a_permutation(self, size):
        """Of more rows than 31 bits count: all within, none twice, and beyond 2^31 as often as there are such rows."""
        positions = np.concatenate([np.arange(20_000), np.arange(size - 20_000, size)])
        found = shuffled(positions, size, seed=1)
        assert len(np.unique(found)) == len(positions) and found.min() >= 0 and found.max() < size
        share = 1 - (1 << 31) / size
        assert abs(np.mean(found >= 1 << 31) - share) < 4 * np.sqrt(share * (1 - share) / len(positions)) + 1e-9
        assert (shuffled(positions + size, size, seed=1) != found).mean() > 0.99

    def test_positions_in_a_source(self, tmp_path, divided):
        """Of a file of 3 GB that is all holes but for a few lines: a hole is a NUL, and is found where it is."""
        path = tmp_path / "f.txt"
        with path.open("wb") as file:
            file.write(b"first\n")
            for place in (1 << 30, 2 << 30, 3 << 30):
                file.seek(place + 20 * (place < 3 << 30))
                file.write(b"\nlast but one\nlast\n")
        divided(1 << 30)
        source = open_source(str(path))
        end = path.stat().st_size
        assert end > 1 << 31 and source.size == end
        parts = source.parts()
        assert [round(start / (1 << 30), 5) for start, _ in parts] == [0, 1, 2] and parts[-1][1] == end
        assert list(source.blocks(((3 << 30) + 1, end))) == [b"last but one\nlast\n"]
        assert source.position == end
        for part in parts[0], parts[2]:
            with pytest.raises(DataError, match=r"line [23] holds a NUL"):
                list(source.blocks(part))

    def test_hashes_take_little_memory(self):
        """8 bytes a row in the end, and not 8 a symbol on the way."""
        import tracemalloc

        rows = np.zeros((100_000, 32), np.uint8)
        rows[:, 0] = np.arange(100_000) % 256
        tracemalloc.start()
        hashes = row_hashes(rows)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert hashes.shape == (100_000,) and len(np.unique(hashes)) == 256
        assert peak < 16 << 20
