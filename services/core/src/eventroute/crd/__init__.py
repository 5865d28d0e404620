"""The EventRoute resource: its models, and how manifests become them."""
