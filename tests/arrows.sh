#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Reads every #include of the program and fails on one that the architecture
# does not draw (doc/architecture.md). Run with a folder as argument it reads
# that tree instead of the source tree; it tests itself on a bad one first.
set -eu

src=${srcdir:-$(dirname "$0")/..}

# room: the rooms that it may include beside itself
allowed() {
  case $1 in
  supervisor) echo "pool workspace sql base" ;;
  pool) echo "worker base" ;;
  worker | workspace | sql) echo "base" ;;
  cli) echo "base sql/migrate.h" ;;
  contrib | base) echo "" ;;
  esac
}

# room: the libraries that it must not know
forbidden() {
  case $1 in
  supervisor | pool) echo "libpq-fe.h jansson.h" ;;
  worker | workspace | base) echo "libpq-fe.h" ;;
  sql) echo "jansson.h" ;;
  cli) echo "ev.h" ;;
  contrib) echo "libpq-fe.h ev.h" ;;
  esac
}

wrong_arrows() {
  for room in supervisor pool worker workspace sql base cli contrib; do
    for file in "$1/$room"/*.[ch] "$1/$room"/*.def; do
      [ -f "$file" ] || continue
      sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file" |
        while read -r included; do
          ok=no
          for place in $room $(allowed $room); do
            case $included in "$place"/* | "$place") ok=yes ;; esac
          done
          [ $ok = yes ] || echo "$room/${file##*/} includes $included"
        done
      for library in $(forbidden $room); do
        grep -q "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$library>" "$file" &&
          echo "$room/${file##*/} includes <$library>"
      done
    done
  done
  return 0
}

bad=$(mktemp -d)
trap 'rm -rf "$bad"' EXIT
mkdir "$bad/worker" "$bad/pool"
echo '#include "sql/db.h"' > "$bad/worker/a.c"
echo '# include <libpq-fe.h>' > "$bad/pool/b.h"
found=$(wrong_arrows "$bad" | wc -l)

echo "1..2"
if [ "$found" = 2 ]; then
  echo "ok 1 - a wrong arrow is found"
else
  echo "not ok 1 - a wrong arrow is found"
fi
wrong=$(wrong_arrows "$src")
if [ -z "$wrong" ]; then
  echo "ok 2 - every include follows an arrow"
else
  echo "$wrong" | sed 's/^/# /'
  echo "not ok 2 - every include follows an arrow"
fi
