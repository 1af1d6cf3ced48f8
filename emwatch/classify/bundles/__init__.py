"""What a bundle is: its files and card, where bundles are kept, and which one is in use."""
