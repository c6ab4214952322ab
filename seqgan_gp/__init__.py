"""Text and other symbol sequences: corpora, tokenisers, networks, n-gram scores."""
