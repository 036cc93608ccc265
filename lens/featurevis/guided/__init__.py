"""Guided by a text: a generator that is driven to it, and images in order of how well it fits."""
