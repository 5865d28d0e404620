"""EventRoute's operator: EventRoutes, Secrets and ConfigMaps in; route tables, status and Events out."""
