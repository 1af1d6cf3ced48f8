"""Makes model bundles: the backbone from its ImageNet weights, heads from labelled and drawn frames."""
