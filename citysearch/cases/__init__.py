"""Purpose, case, audit log and export: comes later; its place is here, above searches."""
