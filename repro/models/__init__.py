"""The nouns: frozen, keyword-only, holding tuples. No input or output."""
