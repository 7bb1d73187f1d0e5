"""Into the store and out of it: import, export, COCO."""
