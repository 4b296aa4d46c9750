"""Evaluation of a model on objects with known masks."""
