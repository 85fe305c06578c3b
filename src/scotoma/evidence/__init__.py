"""What rules judge, worked out from the facts of a model: one kind of evidence a module."""
