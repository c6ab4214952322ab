"""What the networks of all domains share."""
