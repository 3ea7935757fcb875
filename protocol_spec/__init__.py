"""The secagg/1 protocol: text, schema, model and vectors."""
