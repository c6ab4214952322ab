"""What a run is the sum of: losses, penalties, constraints and conditionings."""
