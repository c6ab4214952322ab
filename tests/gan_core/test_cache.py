"""What is kept is written once and found again; what cannot be kept still serves."""

import errno

import pytest
from safetensors import SafetensorError

from gan_core.cache import cache_root, kept
from gan_core.errors import GanError
from gan_core.files import DamagedError, verify


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
