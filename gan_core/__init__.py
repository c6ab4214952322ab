"""The shared core: losses, penalties, constraints, the game, the loop. Knows neither text nor images."""
