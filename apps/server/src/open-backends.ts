import { join } from 'node:path'
import { openDuckdbBackend } from './backends/analytics/duckdb/backend.ts'
import { DiskBackend } from './backends/objects/disk/disk-backend.ts'
import { S3Backend } from './backends/objects/s3/s3-backend.ts'
import { LazyTables } from './backends/tables/lazy-tables.ts'
import { readObjectsPlace } from './config/objects-place.ts'
import type { ServerConfig } from './config/settings.ts'
import type { AnalyticsBackend } from './domain/analytics/backend.ts'
import type { ObjectBackend } from './domain/objects/backend.ts'

/** Opens the backend of objects that the settings name. */
export function openObjectBackend({ objects, data }: ServerConfig): ObjectBackend {
  const place = readObjectsPlace(objects)
  return place.kind === 's3' ? new S3Backend(place) : new DiskBackend(place.folder || join(data, 'objects'))
}

/** Opens the backend of analytical databases. */
export function openAnalyticsBackend({ data, analyticsMemory, analyticsThreads, analyticsSpill }: ServerConfig): Promise<AnalyticsBackend> {
  const limits = { memory: analyticsMemory, threads: analyticsThreads, spill: analyticsSpill }
  return openDuckdbBackend({ directory: join(data, 'analytics'), ...limits })
}

/** The Postgres of tables that the settings name; it is opened with the first call. */
export function openTables(config: ServerConfig): LazyTables {
  return new LazyTables(config)
}
