"""The rules of play: two players, what they start from, and what they learned."""
