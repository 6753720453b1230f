select hearth.schema_version() as version
