"""The next embedded model: EfficientNet-Lite0, a small pyramid, and a decoder that looks at an object twice."""
