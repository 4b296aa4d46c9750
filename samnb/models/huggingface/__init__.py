"""SAM, SAM-HQ, SAM 2 and EdgeTAM through the transformers library."""
