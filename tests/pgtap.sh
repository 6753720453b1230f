#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs tests/pgtap/*.sql on a throw-away PostgreSQL and prints one TAP stream.
# The schema is put in as `hearth init` does it: migrations, then functions,
# views and grants, as hearth_owner. Each file has a database of its own, made
# from that one as template; it may commit what it likes. Nothing stays: the
# cluster lives in a directory of its own that is removed at the end.
#
# Needs PostgreSQL 15 or newer with the extension pgtap, else it is skipped.
# PG_BINDIR names the server's programs when they are not found. As root the
# server runs as the user postgres (else nobody).

set -u
LC_ALL=C.UTF-8
export LC_ALL
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
sql=$here/sql
tests=$here/tests/pgtap

skip() {
	echo "1..0 # SKIP $*"
	exit 0
}

bail() {
	echo "Bail out! $*"
	exit 1
}

find_bindir() {
	for d in "${PG_BINDIR:-}" "$(pg_config --bindir 2>/dev/null)" \
	    $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null |
	    sort -rV); do
		if [ -n "$d" ] && [ -x "$d/initdb" ]; then
			echo "$d"
			return
		fi
	done
}

bin=$(find_bindir)
[ -n "$bin" ] || skip "no PostgreSQL server found"
command -v psql >/dev/null || PATH=$PATH:$bin
major=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
[ "$major" -ge 15 ] || skip "PostgreSQL $major is older than 15"
share=$("$bin/pg_config" --sharedir 2>/dev/null) ||
	share=/usr/share/postgresql/$major
[ -f "$share/extension/pgtap.control" ] ||
	skip "the extension pgtap is not installed"

as_server=
if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	as_server="setpriv --reuid $user --regid $(id -g $user) --clear-groups"
fi

dir=$(mktemp -d /tmp/hearth-pgtap.XXXXXX) || exit 1
clean_up() {
	cd /
	[ -f "$dir/data/postmaster.pid" ] && $as_server "$bin/pg_ctl" stop \
	    -s -m immediate -w -D "$dir/data" >/dev/null 2>&1
	rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

[ -z "$as_server" ] || chown "$user" "$dir"
cd "$dir" || exit 1
$as_server "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 \
    -D "$dir/data" >"$dir/initdb.log" 2>&1 ||
	bail "initdb: $(tail -1 "$dir/initdb.log")"
for setting in "listen_addresses = ''" "unix_socket_directories = '$dir'" \
    "fsync = off" "full_page_writes = off" "max_connections = 20" \
    "shared_buffers = 16MB" "jit = off"; do
	echo "$setting"
done >>"$dir/data/postgresql.conf"
$as_server "$bin/pg_ctl" start -s -w -t 60 -D "$dir/data" -l "$dir/data/log" ||
	bail "the server does not start: $(tail -1 "$dir/data/log")"

for v in $(env | sed -n 's/^\(PG[A-Z]*\)=.*/\1/p'); do
	unset "$v"
done
PGHOST=$dir PGUSER=postgres PGDATABASE=hearth HEARTH_SCRATCH=$dir/scratch
export PGHOST PGUSER PGDATABASE HEARTH_SCRATCH

apply() {
	psql -X -q -v ON_ERROR_STOP=1 "$@" >"$dir/out" 2>&1 ||
		bail "$(head -1 "$dir/out")"
}

apply -d postgres -c 'create database hearth template template0'
apply -c 'create role hearth_owner nologin' \
    -c 'create role hearth_daemon nologin' \
    -c 'create role hearth_admin nologin' \
    -c 'create role hearth_app nologin' \
    -c 'create schema hearth authorization hearth_owner' \
    -c 'create extension pgtap' \
    -c 'set role hearth_owner' \
    -c 'create table hearth.schema_migrations (version int primary key,
	name text not null, applied_at timestamptz not null default now())'
for f in "$sql"/migrations/*.sql; do
	name=$(basename "$f" .sql)
	apply -1 -c 'set role hearth_owner' -f "$f" \
	    -c "insert into hearth.schema_migrations
		values (${name%%_*}::int, '${name#*_}')"
done
replaceable=
for part in functions daemon_functions views roles; do
	[ ! -f "$sql/$part.sql" ] ||
		replaceable="$replaceable -f $sql/$part.sql"
done
# Twice: what can be replaced must bear it.
apply -1 -c 'set role hearth_owner' $replaceable
apply -1 -c 'set role hearth_owner' $replaceable

failed=0
count=0
for f in "$tests"/*.sql; do
	name=$(basename "$f" .sql)
	apply -d postgres -c "create database t_$name template hearth"
	PGDATABASE=t_$name psql -X -q -A -t -v ON_ERROR_STOP=1 -f "$f" \
	    >"$dir/tap" 2>"$dir/errors"
	status=$?
	# Numbers go on from file to file; one more test when the plan was not
	# kept or psql gave up.
	awk -v n="$count" -v file="$name" -v status="$status" '
	/^(not )?ok [0-9]+/ {
		n++; ran++
		sub(/ok [0-9]+( - )?/, "ok " n " - " file ": ")
		if ($1 == "not") failed = 1
		print; next
	}
	/^1\.\.[0-9]+/ { plan = substr($1, 4); planned = 1; next }
	/^[ \t]*$/ { next }
	{ print /^#/ ? $0 : "# " $0 }
	END {
		if (status != 0 || !planned || plan + 0 != ran + 0) {
			n++; failed = 1
			print "not ok " n " - " file ": psql exit " status \
				", planned " plan + 0 ", ran " ran + 0
		}
		print n, failed + 0 > "/dev/stderr"
	}' "$dir/tap" 2>"$dir/sum"
	sed 's/^/# /' "$dir/errors"
	read -r count bad <"$dir/sum" || bail "awk failed"
	[ "$bad" = 0 ] || failed=1
	apply -d postgres -c "drop database t_$name"
done
echo "1..$count"
exit $failed
