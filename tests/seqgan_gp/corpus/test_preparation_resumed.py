"""Preparation that was killed or stopped, and goes on with what was finished."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.corpus_scale import write_lines
from gan_core.errors import GanError
from seqgan_gp.corpus import preparation
from seqgan_gp.corpus.corpus import prepare, row_hashes
from seqgan_gp.corpus.preparation import Reading
from seqgan_gp.sources.open import open_source
from tests.seqgan_gp.corpus.test_corpus import sentences
from tests.seqgan_gp.parts import PREPARE, parts_of, wait_for, written

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("cache")


class TestResumed:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "lines.txt"
        path.write_text("\n".join(sentences(3000)), encoding="utf-8")
        return path

    @pytest.fixture
    def straight(self, file, cache, divided):
        """The cache without interruption."""
        divided(6_000)
        prepare(str(file))
        found = written(cache)
        shutil.rmtree(cache)
        return found

    @pytest.fixture
    def begun(self, monkeypatch):
        """How often a part was begun, by what was done to it; `begun.stop` ends it all at such a number."""

        class Begun(Counter):
            stop = (None, 0)

        begun = Begun()

        def counting(what):
            done = getattr(Reading, what)

            def count(self, part, advance):
                begun[what] += 1
                if begun.stop == (what, begun[what]):
                    raise KeyboardInterrupt
                done(self, part, advance)

            return count

        for what in ("count", "encode"):
            monkeypatch.setattr(Reading, what, counting(what))
        return begun

    @pytest.mark.parametrize("stop", [("count", 1), ("count", 4), ("encode", 1), ("encode", 6)])
    def test_only_what_is_missing_is_done(self, file, cache, straight, begun, stop, capsys):
        number = len(open_source(str(file)).parts())
        assert number > 8
        begun.clear()
        begun.stop = stop
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        assert len(parts_of(cache)) == stop[1] - 1 + number * (stop[0] == "encode")
        begun.stop = (None, 0)
        capsys.readouterr()
        prepare(str(file))
        assert begun == {"count": number + (stop[0] == "count"), "encode": number + (stop[0] == "encode")}
        assert written(cache) == straight and not list(cache.glob("*.parts"))
        told = f"goes on where it was interrupted, {stop[1] - 1} of {number} parts are finished"
        assert (told in capsys.readouterr().err) == (stop[1] > 1)

    def test_progress_is_scorer_too(self, file, cache, straight, begun, monkeypatch, capsys):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        begun.stop = (None, 0)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        prepare(str(file))
        err = capsys.readouterr().err
        assert "vocabulary" not in err and "encode:   0%" not in err and "encode: 100%" in err

    @pytest.mark.parametrize("damage", ["cut", "flip", "remove", "other"])
    @pytest.mark.parametrize("name", ["rows.bin", "part.json", "manifest.json"])
    def test_a_damaged_part_is_done_again(self, file, cache, straight, begun, name, damage):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        first, second = sorted(cache.glob(".*.parts/rows-*"))[1:3]
        content = (first / name).read_bytes()
        (first / name).unlink()
        if damage == "cut":
            (first / name).write_bytes(content[:-1])
        elif damage == "flip":
            (first / name).write_bytes(content[:9] + bytes([content[9] ^ 1]) + content[10:])
        elif damage == "other":
            shutil.rmtree(first)
            shutil.copytree(second, first)
        begun.stop = (None, 0)
        prepare(str(file))
        assert begun["encode"] == 6 + (begun["count"] - 5) + 1 and written(cache) == straight

    def test_a_changed_source_has_other_parts(self, file, cache, straight, begun):
        begun.clear()
        begun.stop = ("encode", 6)
        with pytest.raises(KeyboardInterrupt):
            prepare(str(file))
        file.write_bytes(file.read_bytes() + b"\nmore")
        begun.stop = (None, 0)
        begun.clear()
        prepare(str(file))
        assert begun["count"] == begun["encode"] == len(open_source(str(file)).parts())
        assert parts_of(cache)  # of the source as it was: who knows
        os.utime(next(cache.glob(".*.parts")), (0, time.time() - 8 * 24 * 3600))
        prepare(str(file))
        assert not parts_of(cache)

    def test_parts_of_a_finished_corpus_are_swept(self, file, cache, straight):
        """It was killed after the corpus was whole. Whose lock is taken is at work."""
        name = prepare(str(file)).fingerprint[:32]
        left = cache / f".{name}.parts"
        (left / "rows-0000000000").mkdir(parents=True)
        with (cache / f".{name}.lock").open("w") as lock:
            preparation.fcntl.flock(lock, preparation.fcntl.LOCK_EX)
            prepare(str(file))
            assert left.exists()
        prepare(str(file))
        assert not left.exists()

    def test_a_full_disk(self, file, cache, straight, divided, monkeypatch):
        """What was finished is kept for when there is space."""

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("seqgan_gp.corpus.corpus.row_hashes", full)
            with pytest.raises(GanError, match="No space left on device"):
                prepare(str(file))
        assert parts_of(cache)
        prepare(str(file))
        assert written(cache) == straight

    def test_disk(self, file, cache, straight, monkeypatch):
        """No more than twice the rows, and a little for each part."""
        peak = []
        hashes = row_hashes

        def measured(rows):
            peak.append(sum(path.stat().st_size for path in cache.rglob("*.bin")))
            return hashes(rows)

        monkeypatch.setattr("seqgan_gp.corpus.corpus.row_hashes", measured)
        prepare(str(file))
        assert len(peak) > 8 and 3000 * 32 < max(peak) <= 2 * 3000 * 32

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_stopped_in_the_middle(self, tmp_path, cache, number):
        """Ctrl-C for all processes, or a signal for the first only: all end, and what was finished is used."""
        path = tmp_path / "lines.txt"
        write_lines(path, 20_000, seed=1)
        how = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        command = [sys.executable, "-c", PREPARE, str(path)]
        # A shell that starts tests in the background has them ignore SIGINT; a user is at a terminal.
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, **how, start_new_session=True)
        signal.signal(signal.SIGINT, heard)
        wait_for(lambda: [name for name in parts_of(cache) if name.startswith("rows")], process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)  # ends when all processes have closed their standard error
        assert "Traceback" not in err
        if number == signal.SIGINT:
            assert (process.returncode, err) == (130, "Error: interrupted\n")
        assert parts_of(cache)
        done = subprocess.run(command, **how)
        assert done.returncode == 0 and "goes on where it was interrupted" in done.stderr
        resumed = written(cache)
        shutil.rmtree(cache)
        prepare(str(path))
        assert written(cache) == resumed
