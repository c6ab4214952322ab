"""Networks for text, one architecture a file. Importing this package does not import torch."""
