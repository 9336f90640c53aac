"""HTTP endpoints, one blueprint a resource: declarations plus one call each."""
