"""What the tests that start a real slotd have in common."""
