"""Published experiments, re-run small: each writes a table and a figure."""
