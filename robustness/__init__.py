"""Attacks on files and runs: each program writes a table of what held."""
