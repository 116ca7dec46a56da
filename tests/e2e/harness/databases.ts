import type { Bucket, Database, MillraceBase } from '@millrace/core/adapter'
import { freshName } from './fixture.ts'

/** A database and a bucket of the same name, that no other test has. */
export async function newPair(mr: MillraceBase): Promise<{ readonly db: Database; readonly bucket: Bucket; readonly name: string }> {
  const name = freshName('db')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
  const [db, bucket] = [mr.database(name), mr.bucket(name)]
  await db.create()
  await bucket.create()
  return { db, bucket, name }
}
