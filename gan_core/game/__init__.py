"""The game of generator and critic: players, prior, rules, and the trained networks."""
