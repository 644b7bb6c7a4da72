"""Volumes on disk: what one is (`volume`), the directory that storage providers keep them in (`store`), and copying a
tree into one (`copy`)."""
