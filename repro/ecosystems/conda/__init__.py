"""conda: from its channels to the prefix in an image."""
