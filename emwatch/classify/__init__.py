"""
What a frame shows: preprocessing, the Xception backbone, a small head, and when not to believe it.

Nothing is imported here: the decoder child takes `emwatch.classify.preprocess` alone, without YAML and engines.
"""
