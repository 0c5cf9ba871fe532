"""One public function per command; nouns and collaborators in, a noun out."""
