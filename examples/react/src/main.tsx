import '@millrace/example-web/style.css'
import { MillraceProvider } from '@millrace/react'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Painter } from './painter.tsx'
import { Recent } from './recent.tsx'
import { Status } from './status.tsx'

/** Your backend knows who is logged in and makes a token for the page; a key does not belong here. */
async function getToken(): Promise<string> {
  const response = await fetch('/token', { method: 'POST' })
  if (!response.ok) throw new Error(`${response.status} from /token`)
  return response.text()
}

createRoot(document.querySelector('#app')!).render(
  <StrictMode>
    <MillraceProvider token={getToken}>
      <main>
        <header>
          <h1>Painted elsewhere, seen here</h1>
          <Status />
        </header>
        <div className="columns">
          <Painter />
          <Recent />
        </div>
      </main>
    </MillraceProvider>
  </StrictMode>,
)
