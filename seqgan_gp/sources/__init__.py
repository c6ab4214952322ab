"""Sources of lines. Each file defines one origin of data or one file format; `open.py` chooses among them."""
