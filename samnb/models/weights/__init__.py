"""Weight files: where they are, what they must hash to, how they are downloaded."""
