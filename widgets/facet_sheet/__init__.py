"""The sheet of facets."""

from lens.widgets.facet_sheet.view import FacetSheet, facets

__all__ = ["FacetSheet", "facets"]
