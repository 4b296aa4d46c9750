"""The embedding of an image, from the store or from the model, computed once."""
