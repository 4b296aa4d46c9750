"""Annotations written for other tools, and read from them."""
