"""Training of the demo's two models. ``python -m fgscore.demo.train`` runs all of it."""
