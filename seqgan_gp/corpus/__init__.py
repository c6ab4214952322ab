"""Corpora: lines that are encoded once, split into two sides, and cached."""
