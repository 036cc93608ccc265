"""The words and phrases that excite a unit."""
