"""Facets: what a unit wants to see as a picture, as a drawing, as a written word."""
