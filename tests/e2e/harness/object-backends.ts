import { startS3 } from '@millrace/dev'
import { afterAll } from 'vitest'
import { type Fixture, useServer } from './fixture.ts'

/** A server that keeps its objects somewhere. */
export interface ObjectBackendFixture {
  readonly name: string
  readonly fixture: Fixture
}

/**
 * Starts, before the tests of this file, a server for each place that keeps objects: also a real S3 if `MILLRACE_TEST_S3_URL` names one.
 *
 * @param flags - more flags of `millrace serve`.
 */
export async function useObjectBackends(flags: readonly string[] = []): Promise<readonly ObjectBackendFixture[]> {
  const s3 = await startS3()
  afterAll(() => s3.stop())
  const realUrl = process.env.MILLRACE_TEST_S3_URL
  return [
    { name: 'disk', fixture: useServer({ flags }) },
    { name: 's3', fixture: useServer({ flags: [...flags, '--objects', s3.url], env: s3.env }) },
    ...(realUrl === undefined ? [] : [{ name: 'a real S3', fixture: useServer({ flags: [...flags, '--objects', realUrl] }) }]),
  ]
}
