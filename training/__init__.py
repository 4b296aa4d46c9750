"""How the embedded model was made: procedural scenes, their shards, the training loop."""
