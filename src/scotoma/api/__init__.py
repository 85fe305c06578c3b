"""What the command line does, as functions that return typed, frozen results.

Reached through the package itself, which imports the modules of this one when they are first used:
``scotoma.lint``, ``scotoma.audit``, ``scotoma.trace``, ``scotoma.sizes``, ``scotoma.measure`` and
``scotoma.diff``.
"""
