"""The loop: a batch of images, each climbing its own objective, batch by batch to a whole run.

``job`` is a run as a whole and its recipe, ``optimize`` the steps of one batch. The others are what
a step needs: how many images fit (``batching``), gradient for silent units (``rescue``), images of
another size (``positions``), where to begin (``starting``), faster blocks (``compiling``) and an
end between two steps (``interrupting``).
"""
