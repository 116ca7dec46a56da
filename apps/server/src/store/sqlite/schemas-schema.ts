/** Schemas, each version a row, and what they are attached to: `kind` 0 is a stream, 1 a queue; `version` 0 is the latest. */
export const schemasSchema = `
  CREATE TABLE schemas (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, definition TEXT NOT NULL,
    compatibility TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name, version)
  );
  CREATE TABLE schema_attachments (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, kind INTEGER NOT NULL, target TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, attached_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, kind, target)
  );
`
