"""The strong model that teaches: hosted, behind an address of one's own, or the embedded `offline`."""
