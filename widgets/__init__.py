"""The front end: one folder a view, its Python traits, its ES module and its CSS side by side."""
