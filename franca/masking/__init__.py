"""Which patches the student does not see."""
