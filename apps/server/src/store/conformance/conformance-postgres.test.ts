import { postgresStores } from '../postgres/test-store.ts'
import { storeConformance } from './index.ts'

storeConformance({ postgres: await postgresStores() })
