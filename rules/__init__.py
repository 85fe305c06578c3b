"""The built-in rules, one module each; `scotoma.registry` finds them by walking this folder."""
