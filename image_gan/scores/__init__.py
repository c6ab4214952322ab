"""Scores of images by named features."""
