"""Data sets: the images of a source, decoded to one size, split and cached."""
