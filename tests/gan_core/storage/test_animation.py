import numpy as np
from PIL import Image

from gan_core.storage.animation import animate


def test_an_animation_has_a_frame_a_numbered_picture(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), 80 * i, np.uint8)).save(tmp_path / f"{i:06d}.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "real.png")
    animate(tmp_path)
    with Image.open(tmp_path / "progress.gif") as image:
        assert image.n_frames == 3
        for i in range(3):
            image.seek(i)
            assert abs(int(np.asarray(image.convert("RGB"))[0, 0, 0]) - 80 * i) < 3
