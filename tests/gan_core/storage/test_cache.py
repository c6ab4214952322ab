"""What is kept is written once and found again; what cannot be kept still serves."""

import errno
import os

import pytest
from safetensors import SafetensorError

from gan_core.errors import GanError
from gan_core.storage import cache
from gan_core.storage.cache import cache_root, kept, remembered
from gan_core.storage.sealed import DamagedError, verify


def read(folder):
    try:
        verify(folder)
        return (folder / "value").read_text()
    except DamagedError:
        return None


class Writer:
    """Writes a value and counts how often."""

    def __init__(self, value="v"):
        self.value = value
        self.times = 0

    def __call__(self, folder):
        self.times += 1
        (folder / "value").write_text(self.value)


def test_is_written_once(tmp_path):
    write = Writer()
    assert [kept(tmp_path, "name", read, write, kind="test") for _ in range(3)] == ["v"] * 3
    assert write.times == 1
    assert verify(tmp_path / "name")["kind"] == "test"


def test_damage_is_repaired_and_left_overs_go(tmp_path):
    write = Writer()
    kept(tmp_path, "name", read, write)
    (tmp_path / "name" / "value").write_text("x")
    (tmp_path / ".name.123.tmp").mkdir()
    assert kept(tmp_path, "name", read, write) == "v"
    assert write.times == 2
    assert not (tmp_path / ".name.123.tmp").exists()


def test_an_error_leaves_nothing(tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(GanError, match="No space left on device") as caught:
        kept(tmp_path, "name", read, full)
    assert str(tmp_path) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".name.lock"]


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, capsys):
    (tmp_path / "blocked").write_text("a file where the folder should be: not even root can write into it")
    assert kept(tmp_path / "blocked", "name", read, Writer()) == "v"
    assert "blocked" in capsys.readouterr().err


def test_a_disk_that_forgets(tmp_path):
    with pytest.raises(GanError, match="does not keep"):
        kept(tmp_path, "name", lambda folder: None, Writer())


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(tmp_path / "own"))
    assert cache_root(None) == tmp_path / "own"
    assert cache_root(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("SEQGAN_GP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root(None) == tmp_path / "xdg" / "seqgan-gp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root(None) == tmp_path / "home" / ".cache" / "seqgan-gp"


def test_what_a_killed_process_was_replacing_goes_too(tmp_path):
    (tmp_path / ".name.123.old").mkdir()
    (tmp_path / ".other.123.old").mkdir()
    kept(tmp_path, "name", read, Writer())
    assert {path.name for path in tmp_path.iterdir()} == {".name.lock", "name", ".other.123.old"}


@pytest.mark.parametrize(
    "error",
    [OSError("300 requested and 100 written"), SafetensorError("I/O error: File too large"), OSError(27, "too large")],
)
def test_every_librarys_word_for_a_full_disk(tmp_path, error):
    """NumPy's `tofile` gives no number, safetensors an error of its own."""

    def full(_):
        raise error

    with pytest.raises(GanError, match=r"cannot be written \(.*\): free some space there, or set SEQGAN_GP_CACHE"):
        kept(tmp_path, "name", read, full)
    assert [path.name for path in tmp_path.iterdir()] == [".name.lock"]


class TestRemembered:
    @pytest.fixture
    def file(self, tmp_path, monkeypatch):
        """A file that counts as large and as settled."""
        monkeypatch.setattr(cache, "SMALL", 4)
        monkeypatch.setattr(cache, "SETTLED", -1.0)
        path = tmp_path / "data.txt"
        path.write_text("content")
        return path

    @pytest.fixture
    def asked(self, file, tmp_path):
        """Asks for the digest of files, and whether they were read for it."""

        def asking(files=(file,), about="lines"):
            read = []
            found = remembered(tmp_path / "cache", files, about, lambda: read.append(1) or file.read_text())
            return found, bool(read)

        return asking

    def test_files_are_read_once(self, asked):
        assert [asked(), asked(), asked()] == [("content", True), ("content", False), ("content", False)]
        assert asked(about="images")[1]

    @pytest.mark.parametrize("how", ["content", "same size and time", "replaced", "another"])
    def test_and_again_after_any_change(self, asked, file, how):
        asked()
        before = file.stat()
        if how == "content":
            file.write_text("content and more")
        elif how == "same size and time":
            file.write_text("CONTENT")
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert file.stat().st_mtime_ns == before.st_mtime_ns
        elif how == "replaced":
            other = file.with_name("other")
            other.write_text("CONTENT")
            other.rename(file)
        files = (file, file) if how == "another" else (file,)
        assert asked(files) == (file.read_text(), True) and asked(files) == (file.read_text(), False)

    def test_small_files_are_always_read(self, asked, tmp_path, monkeypatch):
        monkeypatch.setattr(cache, "SMALL", 1 << 20)
        assert asked()[1] and asked()[1] and not (tmp_path / "cache").exists()

    def test_so_are_files_that_were_changed_a_moment_ago(self, asked, tmp_path, monkeypatch):
        monkeypatch.setattr(cache, "SETTLED", 1000.0)
        assert asked()[1] and asked()[1] and not (tmp_path / "cache").exists()

    def test_a_file_that_changes_while_it_is_read_is_not_noted(self, file, tmp_path):
        def digest():
            file.write_text("other content")
            return "wrong"

        assert remembered(tmp_path / "cache", [file], "", digest) == "wrong"
        assert remembered(tmp_path / "cache", [file], "", lambda: "right") == "right"

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"9" * 9000, None])
    def test_a_damaged_record_is_not_believed(self, asked, tmp_path, content):
        asked()
        (record,) = (tmp_path / "cache" / "fingerprints").iterdir()
        record.write_bytes(record.read_bytes().replace(b"content", b"CONTENT") if content is None else content)
        assert asked() == ("content", True) and asked() == ("content", False)

    def test_a_cache_that_cannot_be_written(self, asked, tmp_path):
        (tmp_path / "cache").write_text("a file in its place")
        assert asked() == asked() == ("content", True)
