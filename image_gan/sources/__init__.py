"""Where images come from, one format a file."""
