"""Weight files: search folders, checks, hashes and downloads."""
