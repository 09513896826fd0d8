#!/bin/sh
# Makes Temporal's two databases and brings their schemas up to date; safe to run again.
set -eu

prepare() {
    tool="temporal-sql-tool --plugin postgres12 --ep postgres --port 5432 --user delta --db $1"
    $tool create
    $tool setup-schema --version 0.0
    $tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/$2/versioned"
}

prepare temporal temporal
prepare temporal_visibility visibility
