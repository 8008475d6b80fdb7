#!/bin/sh
# Write the settings of XNAT from the environment, readable by its user alone, and start it.
set -eu

config=/data/xnat/home/config
mkdir -p "$config"
umask 077

cat > "$config/xnat-conf.properties" <<EOF
datasource.driver=org.postgresql.Driver
datasource.url=jdbc:postgresql://xnat-db/xnat
datasource.username=xnat
datasource.password=${DB_PASSWORD:?}
hibernate.dialect=org.hibernate.dialect.PostgreSQL9Dialect
hibernate.hbm2ddl.auto=update
hibernate.show_sql=false
hibernate.cache.use_second_level_cache=true
hibernate.cache.use_query_cache=true
spring.http.multipart.max-file-size=1073741824
spring.http.multipart.max-request-size=1073741824
EOF

# Read by XNAT at its first start only; afterwards these are settings of the site. A site that is not
# initialized sends every call elsewhere, that of set-admin-password too.
cat > "$config/prefs-init.ini" <<EOF
[siteConfig]
siteUrl=${SITE_URL:?}
adminEmail=${ADMIN_EMAIL:?}
processingUrl=http://xnat-web:8080
requireLogin=true
userRegistration=false
initialized=true
EOF

if [ -n "${SMTP_HOST:-}" ]; then
    cat >> "$config/prefs-init.ini" <<EOF

[notifications]
smtpEnabled=true
smtpHostname=${SMTP_HOST}
smtpPort=${SMTP_PORT:-25}
smtpUsername=${SMTP_USER:-}
smtpPassword=${SMTP_PASSWORD-}
smtpAuth=$([ -n "${SMTP_USER:-}" ] && printf true || printf false)
smtpStartTls=${SMTP_START_TLS:-false}
EOF
fi

unset DB_PASSWORD SMTP_PASSWORD
exec "$@"
