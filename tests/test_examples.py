"""The example programs run, and show what they say."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_ring(tmp_path):
    command = [sys.executable, str(ROOT / "examples/ring.py"), "--steps", "3"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 8 modes" in done.stdout and (tmp_path / "ring.png").read_bytes().startswith(b"\x89PNG")
