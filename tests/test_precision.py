"""The comparison of bfloat16 and float32: what the table says, and that its runs go on where they were cut off."""

import json
import shutil
from pathlib import Path

from benchmarks.precision import PRECISIONS, compared, scores_of


def test_bf16_is_as_good_within_the_range_of_the_seeds():
    def rows(fp32, bf16):
        runs = {"fp32": fp32, "bf16": bf16}
        found = {name: [{"js-4/heldout": v, "js-6/heldout": 0.5} for v in values] for name, values in runs.items()}
        return compared("text", found)

    near, same = rows([0.4, 0.5, 0.45], [0.5, 0.54, 0.55])
    assert near.endswith(
        "| 0.4500 (0.4000, 0.5000, 0.4500) | 0.5300 (0.5000, 0.5400, 0.5500) | +0.0800 | 0.1000 | yes |"
    )
    assert same.endswith("| +0.0000 | 0.0000 | yes |")
    assert rows([0.4, 0.5, 0.45], [0.6, 0.61, 0.62])[0].endswith("| NO |")


def test_a_run_that_is_done_is_not_made_again(here):
    small = ["--width", "8", "--depth", "1", "--batch-size", "8", "--sample-every", "0"]
    first = {p: scores_of("text", p, 0, 2, here, small) for p in PRECISIONS}
    assert first["fp32"]["js-4/heldout"] != first["bf16"]["js-4/heldout"]
    runs = sorted(here.glob("*-text-*"))
    assert len(runs) == 2 and json.loads((runs[0] / "config.json").read_text())["numbers"]["precision"] == "fp32"
    assert scores_of("text", "fp32", 0, 2, here, small) == first["fp32"] and len(list(here.glob("*-text-*"))) == 2
    shutil.rmtree(Path(runs[0]))
    assert scores_of("text", "fp32", 0, 2, here, small) == first["fp32"]
