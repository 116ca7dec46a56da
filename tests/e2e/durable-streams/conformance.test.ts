import { useServer } from '../harness/fixture.ts'
import { declareSuite } from './suite.ts'

const fixture = useServer()
declareSuite(() => fixture.server)
