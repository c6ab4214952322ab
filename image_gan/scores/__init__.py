"""Scores of images by the features of a named backbone."""
