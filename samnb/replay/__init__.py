"""Recipes: files that say how masks were made, and the making of them again."""
