"""Adjoint rules, a module per family of operators; each is found by being here."""
