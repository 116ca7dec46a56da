/** Schemas, each version a row, and what they are attached to: `kind` 0 is a stream, 1 a queue; `version` 0 is the latest. */
export const schemasSchema = `
  CREATE TABLE millrace.schemas (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, version int NOT NULL, definition text NOT NULL,
    compatibility text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, name, version)
  );
  CREATE TABLE millrace.schema_attachments (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, kind int NOT NULL, target text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    version int NOT NULL, attached_at bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, kind, target)
  );
`
