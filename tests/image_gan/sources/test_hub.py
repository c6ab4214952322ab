import importlib
from pathlib import Path

import numpy as np
import pytest

from gan_core.storage import hub
from image_gan.sources.open import open_source
from tests.image_gan.sets import (
    encoded,
    noise,
    read,
    refused,
)


class TestHub:
    @pytest.fixture
    def datasets(self, monkeypatch):
        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)
        return importlib.import_module("datasets")

    def rows(self, datasets, images, labels, called=("img", "label"), names=("a", "b")):
        features = datasets.Features({called[0]: datasets.Image(), called[1]: datasets.ClassLabel(names=list(names))})
        files = [{"bytes": encoded(image), "path": None} for image in images]
        return datasets.Dataset.from_dict({called[0]: files, called[1]: labels}, features=features)

    def answer(self, monkeypatch, datasets, found):
        monkeypatch.setattr(datasets, "load_dataset", lambda identity, **options: found)

    @pytest.mark.parametrize("called", [("img", "label"), ("image", "label"), ("picture", "kind")])
    def test_columns_are_found_by_type(self, datasets, monkeypatch, called):
        images = noise(70)
        train = self.rows(datasets, images[:68], [0, 1] * 34, called)
        test = self.rows(datasets, images[68:], [1, 0], called)
        self.answer(monkeypatch, datasets, datasets.DatasetDict(train=train, test=test, other=test))
        source = open_source("hf:uoft-cs/cifar10")
        assert source.sizes == {"train": 68, "test": 2} and source.classes == ("a", "b")
        assert np.array_equal(read(source)[0], images[:68]) and read(source)[1] == [0, 1] * 34
        assert np.array_equal(read(source, "test")[0], images[68:]) and read(source, "test")[1] == [1, 0]
        self.answer(monkeypatch, datasets, train)
        alone = open_source("hf:uoft-cs/cifar10:train")
        assert alone.sizes == {"train": 68}
        assert alone.fingerprint() == open_source("hf:elsewhere").fingerprint() != source.fingerprint()

    @pytest.mark.parametrize("label", [-5, 2, 40_000])
    @pytest.mark.parametrize("split", ["train", "test"])
    def test_labels_out_of_range(self, datasets, monkeypatch, label, split):
        """The library checks labels against the names as it encodes them, but not what a file of its own holds."""
        rows = self.rows(datasets, noise(3), [0, -1, None])
        self.answer(monkeypatch, datasets, datasets.DatasetDict(train=rows, test=rows))
        assert read(open_source("hf:x"), "test")[1] == [0, -1, -1]
        numbers = datasets.Features({"img": datasets.Image(), "label": datasets.Value("int64")})
        wrong = rows.cast(numbers).map(lambda row, i: {"label": label} if i == 1 else {}, with_indices=True)
        wrong._info.features = rows.features
        self.answer(monkeypatch, datasets, datasets.DatasetDict({"train": rows, "test": rows} | {split: wrong}))
        refused("hf:x", f"hf:x: {split} row 1", f"label {label}", "2 classes")

    def test_labels_of_one_split_only(self, datasets, monkeypatch):
        rows = self.rows(datasets, noise(3), [0, 1, 1])
        self.answer(monkeypatch, datasets, {"train": rows, "test": rows.select_columns("img")})
        refused("hf:x", "hf:x has no column 'label' in its split test", ":train")

    def test_bad_rows(self, datasets, monkeypatch):
        rows = datasets.Dataset.from_dict(
            {"image": [{"bytes": encoded(noise(1)[0])}, {"bytes": b"broken"}, None]},
            features=datasets.Features({"image": datasets.Image()}),
        )
        self.answer(monkeypatch, datasets, rows)
        refused("hf:x", "hf:x: train row 1", "--bad-images skip")
        source = open_source("hf:x", bad_images="skip")
        assert read(source)[1] == [-1] and source.counts["skipped"] == 2
        assert len(source.fingerprint()) == 64

    @pytest.mark.parametrize("image", [{"path": "/dev/zero"}, {"path": "/"}, {"path": "a\0b"}])
    def test_rows_that_name_no_file(self, datasets, monkeypatch, image):
        """A device would never end."""
        rows = datasets.Dataset.from_dict(
            {"image": [{"bytes": None, "path": None} | image]},
            features=datasets.Features({"image": datasets.Image()}),
        )
        self.answer(monkeypatch, datasets, rows)
        refused("hf:x", "hf:x: train row 0", "--bad-images skip")
        source = open_source("hf:x")
        assert len(source.fingerprint()) == 64
        with pytest.raises(ValueError, match="no image"):
            source.read({"bytes": None, "path": None}, "hf:x: train row 0")

    def test_refused(self, datasets, monkeypatch):
        self.answer(monkeypatch, datasets, datasets.Dataset.from_dict({"text": ["x"]}))
        refused("hf:x", "no column of images", "text")
        two = datasets.Features({"left": datasets.Image(), "right": datasets.Image()})
        self.answer(monkeypatch, datasets, datasets.Dataset.from_dict({"left": [], "right": []}, features=two))
        refused("hf:x", "several columns of Image")
        rows = self.rows(datasets, noise(1), [0])
        self.answer(monkeypatch, datasets, datasets.DatasetDict(validation=rows))
        refused("hf:x", "no split called train", "hf:x:validation")
        refused("hf:a b", "hf:ID[@REVISION][:SPLIT]")

    def test_parquet_through_the_real_library(self, datasets, tmp_path, monkeypatch):
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.chdir(tmp_path)
        Path("local").mkdir()
        images = noise(5)
        self.rows(datasets, images, [0, 1, 0, 1, 1]).to_parquet("local/train.parquet")
        source = open_source("hf:local")
        assert np.array_equal(read(source)[0], images) and read(source)[1] == [0, 1, 0, 1, 1]
