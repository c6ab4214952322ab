"""Scores of generated text: the n-gram Jensen-Shannon score, and the metrics of the folder `metrics`."""
