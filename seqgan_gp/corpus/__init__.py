"""Lines encoded once, split and cached."""
