"""Evaluation that does not depend on the domain: the registry of metrics, and scores of labels and codes."""
