"""The paper's numbers and claims, grids, model selection, comparisons, verdicts, diagnosis, localisation."""
