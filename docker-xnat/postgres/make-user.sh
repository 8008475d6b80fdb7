#!/bin/sh
# Run by the image of PostgreSQL when it makes the database: a user for XNAT that owns it.
# psql reads the password from the environment, so that it is in no list of processes.
set -eu

psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'EOF'
\set password `printf %s "$XNAT_DB_PASSWORD"`
CREATE ROLE xnat WITH LOGIN PASSWORD :'password';
ALTER DATABASE xnat OWNER TO xnat;
ALTER SCHEMA public OWNER TO xnat;
EOF
