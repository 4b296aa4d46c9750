"""How good a model is on masks that are known."""
