"""What the tests of preparation in chunks share."""

import gzip
import hashlib
import shutil
import time

# The command line around what prepares a corpus, without the seconds that it takes to import torch.
PREPARE = """
import sys
import seqgan_gp_cli
from gan_core.runtime import pool
from seqgan_gp.sources import files
from seqgan_gp.corpus.corpus import prepare
files.CHUNK, pool.processors = 100_000, lambda: 2
seqgan_gp_cli.cli.main = lambda *_, **__: prepare(sys.argv[1]) and 0
sys.exit(seqgan_gp_cli.run())
"""


def wait_for(true, process, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)


def written(cache):
    """Everything in a cache but locks, by its content."""
    files = (path for path in sorted(cache.rglob("*")) if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def chunks_of(cache):
    """The names of the finished chunks in a cache."""
    return sorted(path.name for path in cache.glob(".*.chunks/[rv]*"))


def write(folder, contents):
    """Files of one folder, every second one packed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, content in enumerate(contents):
        packed = number % 2 == 1
        name = f"{number}.txt" + ".gz" * packed
        (folder / name).write_bytes(gzip.compress(content, 1) if packed else content)
    return str(folder)


def texts(blocks):
    return b"".join(blocks).decode().split("\n")[:-1]


def by_file(blocks):
    """The content of each file that has any."""
    content = {}
    for number, block in blocks:
        content[number] = content.get(number, b"") + block
    return content
