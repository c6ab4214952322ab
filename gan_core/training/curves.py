"""The curves of a run as a picture: losses, readings of parts, scores."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from gan_core.storage.sealed import replacing, writing

Series = dict[str, list[tuple[int, float]]]  # name -> (step, value) in order

PANELS = {  # title -> the names of its curves
    "losses": ("critic/total", "generator/total"),
    "mean scores of the critic": ("critic/real", "critic/fake"),
    "gradients": ("critic/gradient", "generator/gradient"),
}
LEFT_OUT = ("critic/", "generator/")  # prefixes of curves that are not drawn unless PANELS names them


def read_series(path: Path) -> Series:
    """The numbers in a metrics.jsonl, by name; scores are named `scores/...`. Other values are ignored."""
    series: Series = defaultdict(list)
    for line in path.read_text(errors="replace").splitlines():
        try:
            values = json.loads(line)
            step = int(values.pop("step"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that a kill cut short
        flat = {**values, **{f"scores/{name}": value for name, value in values.pop("scores", {}).items()}}
        for name, value in flat.items():
            if isinstance(value, int | float) and name not in ("seconds", "it/s"):
                series[name].append((step, float(value)))
    return series


def panels_of(series: Series) -> dict[str, list[str]]:
    """Panel title -> names of its curves of two points or more: PANELS, then a panel per kind of score and reading."""
    series = {name: points for name, points in series.items() if len(points) > 1}
    panels = {title: [name for name in names if name in series] for title, names in PANELS.items()}
    for name in series:
        if not name.startswith(LEFT_OUT):
            title = name.rpartition("/")[0] if name.startswith("scores/") else name.rpartition("/")[2]
            panels.setdefault(title.removeprefix("scores/"), []).append(name)
    return {title: names for title, names in panels.items() if names}


def labels_of(names: list[str]) -> list[str]:
    """Legend labels for the curves of one panel: the last component of each name, or the first if those coincide."""
    last = [name.rpartition("/")[2] for name in names]
    return last if len(set(last)) == len(last) else [name.partition("/")[0] for name in names]


def draw_curves(run: Path) -> Path | None:
    """Write curves.png of a run from its metrics and return its path; None if there are no curves yet."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = read_series(run / "metrics.jsonl")
    panels = panels_of(series)
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure: Any = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        for name, label in zip(names, labels_of(names), strict=True):
            steps, values = zip(*series[name], strict=True)
            axes.plot(steps, values, marker="." if len(steps) < 20 else None, label=label)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize=7)
    figure.supxlabel("generator steps", fontsize=8)
    target = run / "curves.png"
    with writing(target), replacing(target) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    return target
