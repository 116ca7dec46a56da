import { join } from 'node:path'
import { testPage } from '@millrace/example-web/testing'

testPage(join(import.meta.dirname, '..'))
