"""The parts of a run: losses, penalties, constraints and conditionings."""
