import { pooledPostgresStores } from '../postgres/test-store.ts'
import { storeConformance } from './index.ts'

storeConformance({ pgbouncer: await pooledPostgresStores() })
