"""The next embedded net, in training: a pretrained backbone, a small pyramid, and a decoder of two passes."""
