"""Where images come from. Each format is one file that registers how it is opened."""
