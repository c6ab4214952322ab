"""The curves of a run: which numbers are drawn where, and that a picture comes out."""

import json

from PIL import Image

from gan_core.training.curves import draw_curves, labels_of, panels_of, read_series

LOG = [
    {
        "step": 2,
        "seconds": 1.0,
        "it/s": 2.0,
        "critic/total": 1.0,
        "critic/gp": 0.1,
        "generator/total": 5,
        "gp/gradient_norm": 1,
    },
    {"step": 4, "seconds": 2.0, "critic/total": 1.5, "generator/total": 0.4, "gp/gradient_norm": 0.9},
    {"step": 4, "evaluation": {"js": {"4": 0.5}}, "scores": {"js-4/heldout": 0.5, "js-4/wgan-gp": 0.6}},
    {"step": 8, "scores": {"js-4/heldout": 0.4, "js-4/wgan-gp": 0.5, "js-1/heldout": 0.1}},
]


def test_numbers_are_read_and_a_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LOG) + '{"step": 6, "critic/to')
    series = read_series(path)
    assert series["critic/total"] == [(2, 1.0), (4, 1.5)] and series["scores/js-1/heldout"] == [(8, 0.1)]
    assert not {"seconds", "it/s", "step", "evaluation"} & set(series)
    assert panels_of(series) == {
        "losses": ["critic/total", "generator/total"],
        "gradient_norm": ["gp/gradient_norm"],
        "js-4": ["scores/js-4/heldout", "scores/js-4/wgan-gp"],
    }
    assert labels_of(["critic/total", "generator/total"]) == ["critic", "generator"]
    assert labels_of(["scores/js-4/heldout", "scores/js-4/wgan-gp"]) == ["heldout", "wgan-gp"]


def test_a_picture_is_drawn_where_there_is_something_to_draw(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    assert draw_curves(tmp_path) is None
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LOG))
    path = draw_curves(tmp_path)
    assert path == tmp_path / "curves.png"
    with Image.open(path) as image:
        assert min(image.size) > 200
