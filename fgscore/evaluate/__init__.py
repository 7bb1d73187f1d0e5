"""All that runs from the store: scores, features, probes, results, prediction."""
