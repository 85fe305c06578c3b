"""The types of the JSON documents: what `scotoma.report` writes and what the schemas say.

They are types of plain dictionaries, so that they cost nothing where a document is written; mypy
holds the code that writes to them, and `scotoma.report.schema` makes the published schemas of them.
The text below a key says what it holds, there and in the schema.
"""
