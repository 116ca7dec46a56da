import { millrace } from '@millrace/example-web'
import { defineConfig } from 'vite'

export default defineConfig({ plugins: [millrace()] })
