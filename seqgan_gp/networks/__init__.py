"""Networks for text."""
