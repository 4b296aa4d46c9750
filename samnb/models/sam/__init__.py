"""Segment Anything (vit_b, vit_l, vit_h) and MobileSAM, with a faster encoder and decoder."""
