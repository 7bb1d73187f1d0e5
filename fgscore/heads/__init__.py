"""The heads of :mod:`fgscore.probe`, one file each; ``probe.bind`` is the way in."""
