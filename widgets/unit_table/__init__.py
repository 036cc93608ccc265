"""The table of units."""

from lens.widgets.unit_table.table import UnitTable, units

__all__ = ["UnitTable", "units"]
