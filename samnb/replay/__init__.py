"""Recipes: files that record how masks were made, and their replay."""
