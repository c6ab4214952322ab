"""Origins and formats are files of their own: planting one file is all that a new one takes."""

import os
import sys

import pytest

from gan_core.discovery import import_all
from gan_core.errors import DataError
from seqgan_gp import sources
from seqgan_gp.sources import files, registry
from seqgan_gp.sources.content import File
from seqgan_gp.sources.files import whole_lines
from seqgan_gp.sources.labelled import form_of
from seqgan_gp.sources.open import open_source

# A format by its ending, one by its content, and an origin.
UPPER = """
from seqgan_gp.sources.files import FileSource
from seqgan_gp.sources.open import open_source
from seqgan_gp.sources.registry import Format, Origin


class Upper(Format, name="upper", order=120):
    endings = (".upper",)

    def open(self, files, how):
        return UpperSource(files, how.bad_utf8)


class Shouted(Upper, name="shouted", order=50):
    def claims(self, file):
        return file.head().startswith(b"!")


class UpperSource(FileSource):
    def followed(self, *args):
        return (piece.lower() for piece in super().followed(*args))


class Zeros(Origin, name="zeros", order=30):
    def claims(self, spec):
        return spec.startswith("zeros:")

    def open(self, spec, how):
        return open_source(f"{spec[6:]}.txt", how.bad_utf8)
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The modules of a new folder belong to the folder of sources."""
    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / "planted_source.py").write_text(UPPER)
    import_all(sources)  # before the tables are copied: a module registers only once
    monkeypatch.setattr(registry, "ORIGINS", dict(registry.ORIGINS))
    monkeypatch.setattr(registry, "FORMATS", dict(registry.FORMATS))
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    yield
    sys.modules.pop("seqgan_gp.sources.planted_source", None)


@pytest.fixture
def here(tmp_path):
    (tmp_path / "a.upper").write_text("ONE\nTWO\n")
    (tmp_path / "b.txt").write_text("THREE\n")
    (tmp_path / "c.txt").write_text("!FOUR\n")
    return tmp_path


def lines(spec):
    return b"".join(open_source(str(spec)).blocks()).decode().split("\n")[:-1]


def test_without_the_file_all_are_lines(here):
    assert lines(here / "a.upper") == ["ONE", "TWO"] and lines(here / "c.txt") == ["!FOUR"]
    with pytest.raises(DataError, match=r"holds no \*\.txt, \*\.gz, \*\.parquet or lm1b file: give a file of lines"):
        open_source(str(empty(here)))


def empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def test_a_format_claims_files_by_ending_and_by_content(here, planted):
    assert lines(here / "a.upper") == ["one", "two"] and lines(here / "b.txt") == ["THREE"]
    assert lines(here / "c.txt") == ["!four"]
    with pytest.raises(DataError, match="mixes upper files with others: give a pattern that only one kind matches"):
        open_source(str(here / "[ab].*"))


def test_a_folder_is_read_by_the_format_of_the_lowest_order(here, planted):
    assert lines(here) == ["!four"]  # by content, before lines
    (here / "c.txt").unlink()
    assert lines(here) == ["THREE"]  # lines, before the ending
    (here / "b.txt").unlink()
    assert lines(here) == ["one", "two"]
    with pytest.raises(DataError, match=r"no \*\.upper, \*\.txt, \*\.gz, \*\.parquet or lm1b file"):
        open_source(str(empty(here)))


def test_an_origin_claims_what_data_was_given(here, planted):
    assert lines(f"zeros:{here}/b") == ["THREE"]


def test_content_is_looked_at_only_in_regular_files(here, planted):
    os.mkfifo(here / "pipe")
    with pytest.raises(DataError, match="pipe is not a regular file"):
        open_source(str(here / "pipe"))


def test_two_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two sources are called 'lines': Lines and Again"):

        class Again(registry.Format, name="lines", order=1):
            pass


def test_orders_differ():
    import_all(sources)
    for table in (registry.ORIGINS, registry.FORMATS):
        orders = [kind.order for kind in table.values()]
        assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_whole_lines_wherever_the_pieces_end(size):
    content = b"one\n\ntwo three\nend"
    blocks = list(whole_lines((content[at : at + size] for at in range(0, len(content), size)), "f"))
    assert b"".join(blocks) == content and all(block.endswith(b"\n") for block in blocks[:-1])


def test_a_record_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(files, "LONGEST_RECORD", 10)
    assert list(whole_lines([b"0123456789", b"\nx"], "f")) == [b"0123456789\n", b"x"]
    with pytest.raises(DataError, match="f has a line of more than 10 bytes"):
        list(whole_lines([b"0123456789", b"01"], "f"))


class Records(files.FileSource):
    """Three lines a record, of which the second is the text."""

    divisible = False
    reading = "records"

    def content(self, name, pieces):
        for block in whole_lines(pieces, name):
            yield b"".join(block.splitlines(keepends=True)[1::3])


def test_a_format_of_records(tmp_path, divided):
    """Files are not divided, heads are of lines, and the same bytes read otherwise are other data."""
    path = tmp_path / "r"
    path.write_text("".join(f"{i}\na\ttext {i}\n{i}\n" for i in range(9)))
    divided(10)
    chosen = registry.Files([File("r", path)], "r")
    source, plain = Records(chosen, "error"), files.FileSource(chosen, "error")
    assert source.chunks() == [(0, path.stat().st_size)] and len(plain.chunks()) > 5
    assert b"".join(source.blocks()) == b"".join(b"a\ttext %d\n" % i for i in range(9))
    assert form_of(source, "auto") == "tab" and form_of(plain, "auto") == "none"
    assert len({source.fingerprint(), plain.fingerprint()}) == 2
