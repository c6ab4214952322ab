"""Images decoded once, split and cached."""
