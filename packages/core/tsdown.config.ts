import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: ['src/index.ts', 'src/adapter.ts', 'src/live.ts'],
  dts: true,
  target: 'node20',
  platform: 'neutral',
  fixedExtension: false,
})
