/** Buckets, what is in them, and the bytes that a backend keeps for them. */
export const objectSchema = `
  CREATE TABLE millrace.buckets (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, public_read int NOT NULL, tags text NOT NULL,
    lifecycle text NOT NULL, created_at bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, name)
  );
  CREATE TABLE millrace.objects (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, bucket text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, etag text NOT NULL, size bigint NOT NULL,
    content_type text NOT NULL, metadata text NOT NULL, blobs text NOT NULL, updated_at bigint NOT NULL, expires_at bigint,
    PRIMARY KEY (tenant, namespace, bucket, key)
  );
  CREATE INDEX objects_expiry ON millrace.objects (expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE millrace.object_blobs (
    tenant int NOT NULL, blob text COLLATE "C" NOT NULL, namespace text COLLATE "C" NOT NULL, size bigint NOT NULL, sha256 text COLLATE "C" NOT NULL, refs int NOT NULL,
    collect_at bigint,
    PRIMARY KEY (tenant, blob)
  );
  CREATE INDEX object_blobs_content ON millrace.object_blobs (tenant, namespace, sha256) WHERE refs > 0;
  CREATE INDEX object_blobs_waste ON millrace.object_blobs (collect_at) WHERE collect_at IS NOT NULL;
  CREATE TABLE millrace.object_uploads (
    tenant int NOT NULL, upload text COLLATE "C" NOT NULL, namespace text COLLATE "C" NOT NULL, bucket text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, content_type text NOT NULL,
    metadata text NOT NULL, created_at bigint NOT NULL, expires_at bigint NOT NULL,
    PRIMARY KEY (tenant, upload)
  );
  CREATE INDEX object_uploads_bucket ON millrace.object_uploads (tenant, namespace, bucket, upload);
  CREATE INDEX object_uploads_expiry ON millrace.object_uploads (expires_at);
  CREATE TABLE millrace.object_parts (
    tenant int NOT NULL, upload text COLLATE "C" NOT NULL, part int NOT NULL, blob text COLLATE "C" NOT NULL, size bigint NOT NULL, sha256 text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, upload, part)
  );
`
