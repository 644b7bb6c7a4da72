"""What commands print: safe for terminals, for people and for scripts."""
