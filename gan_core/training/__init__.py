"""From a game to a run: the loop, its records and checkpoints."""
