"""Where lines come from, one format a file."""
