/** Buckets, what is in them, and the bytes that a backend keeps for them. */
export const objectSchema = `
  CREATE TABLE buckets (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, public_read INTEGER NOT NULL, tags TEXT NOT NULL,
    lifecycle TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
  ) WITHOUT ROWID;
  CREATE TABLE objects (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL,
    content_type TEXT NOT NULL, metadata TEXT NOT NULL, blobs TEXT NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER,
    PRIMARY KEY (tenant, namespace, bucket, key)
  );
  CREATE INDEX objects_expiry ON objects (expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE object_blobs (
    tenant INTEGER NOT NULL, blob TEXT NOT NULL, namespace TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL, refs INTEGER NOT NULL,
    collect_at INTEGER,
    PRIMARY KEY (tenant, blob)
  ) WITHOUT ROWID;
  CREATE INDEX object_blobs_content ON object_blobs (tenant, namespace, sha256) WHERE refs > 0;
  CREATE INDEX object_blobs_waste ON object_blobs (collect_at) WHERE collect_at IS NOT NULL;
  CREATE TABLE object_uploads (
    tenant INTEGER NOT NULL, upload TEXT NOT NULL, namespace TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL, content_type TEXT NOT NULL,
    metadata TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, upload)
  ) WITHOUT ROWID;
  CREATE INDEX object_uploads_bucket ON object_uploads (tenant, namespace, bucket, upload);
  CREATE INDEX object_uploads_expiry ON object_uploads (expires_at);
  CREATE TABLE object_parts (
    tenant INTEGER NOT NULL, upload TEXT NOT NULL, part INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (tenant, upload, part)
  ) WITHOUT ROWID;
`
