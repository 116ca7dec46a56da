import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { pgvectorPrograms, startPgvector } from './pgvector.ts'
import { skipWhereMissing } from './test-skip.ts'

skipWhereMissing(pgvectorPrograms)

it('has vectors, and searches them by an index', async () => {
  await using postgres = await startPgvector({ fsync: false })
  const sql = `
    CREATE EXTENSION vector;
    CREATE TABLE t (v vector(2));
    CREATE INDEX ON t USING hnsw (v vector_l2_ops);
    INSERT INTO t VALUES ('[1,2]'), ('[5,6]');
    SELECT v FROM t ORDER BY v <-> '[4,4]' LIMIT 1`
  const { stdout } = await promisify(execFile)('psql', [postgres.url, '-XtAqc', sql])
  expect(stdout.trim()).toBe('[5,6]')
}, 30_000)
