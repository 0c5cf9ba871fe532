"""A lock in the formats of others: pure functions from nouns to text."""
