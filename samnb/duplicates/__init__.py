"""Duplicates: images of the same picture, and images that look alike."""
