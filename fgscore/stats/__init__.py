"""Intervals and tests of accuracies on the same test images. Arrays in, numbers out.

An outcome is right or wrong of one test image by one run. Runs of a setting differ in what chance moves: the draw of
random crops, and the seed that a head starts from. What varies in an interval is images, draws and seeds, never which
images were trained on.
"""
