"""Of the store: status, verify, prune, compact."""
