"""Building blocks that the networks of all domains share."""
