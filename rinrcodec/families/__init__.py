"""How INRs are built: one module per family."""
