"""Recipes: the published ones, the settings of a run, the plan that combines them, and the builder of a game."""
