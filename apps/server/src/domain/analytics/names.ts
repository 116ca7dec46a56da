/** What a database may be called. */
export const databaseNamePattern = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** Says so. */
export const databaseNameRule = 'give 1 to 63 characters of a-z 0-9 - _, the first one a letter or digit'
