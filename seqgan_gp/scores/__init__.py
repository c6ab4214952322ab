"""Scores of text by its n-grams."""
