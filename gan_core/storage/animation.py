"""Animated GIFs of a run's pictures."""

from pathlib import Path

from gan_core.storage.sealed import replacing

FRAME = 200  # milliseconds per frame; the last frame is shown ten times as long


def animate(folder: Path, name: str = "progress.gif") -> None:
    """Write the numbered pictures of a folder, such as 000500.png, in order as an animated GIF into that folder."""
    from PIL import Image

    frames = sorted(folder.glob("[0-9]*.png"))
    images = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    durations = [FRAME] * (len(images) - 1) + [10 * FRAME]
    with replacing(folder / name) as temporary:
        images[0].save(temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
