"""What becomes of a search in a case: the log that cannot be edited unnoticed, evidence, its export."""
