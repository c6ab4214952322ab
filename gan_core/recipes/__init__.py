"""From the name of a recipe to a game: published recipes, settings, plans, the builder."""
