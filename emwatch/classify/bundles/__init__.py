"""Model bundles: their files and cards, the store that keeps them, and the one in use."""
