#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The options stand in one table: the file, -o, --help, the sample file and the
# manual page must know the same keys, with the same defaults.
set -eu

hearthd=${top_builddir:-.}/hearthd
manual=${top_builddir:-.}/doc/hearthd.conf.5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0 status=0

is() {
  n=$((n + 1))
  if [ "$2" = "$3" ]; then
    echo "ok $n - $1"
  else
    echo "not ok $n - $1"
    printf '%s\n--- but expected\n%s\n' "$2" "$3" | sed 's/^/# /'
    status=1
  fi
}

echo "1..7"
"$hearthd" --sample > "$work/sample"
"$hearthd" --help > "$work/help"
keys=$(sed -n 's/^#\{0,1\}\([a-z_]*\) =.*/\1/p' "$work/sample" | sort)
is "the sample names the options" "$(echo "$keys" | grep -c .)" \
  "$(sed -n '/^Options:/,$s/^  \([a-z_]*\) (default.*/\1/p' "$work/help" | grep -c .)"
is "--help names the same keys" \
  "$(sed -n '/^Options:/,$s/^  \([a-z_]*\) (default.*/\1/p' "$work/help" | sort)" "$keys"
is "the manual page names the same keys" \
  "$(sed -n 's/^\.BR \([a-z_]*\) " (default.*/\1/p' "$manual" | sort -u)" \
  "$(echo "$keys" | sort -u)"

sed 's/^#\([a-z_]* =\)/\1/' "$work/sample" | grep -v '= *$' > "$work/all.conf"
is "the sample is a file that hearthd reads" \
  "$("$hearthd" -c "$work/all.conf" --check 2>&1)" "hearthd: the options are fine"
set --
while IFS= read -r line; do
  case $line in [a-z]*) set -- "$@" -o "$line" ;; esac
done < "$work/all.conf"
is "-o takes every key" "$("$hearthd" "$@" --check 2>&1)" "hearthd: the options are fine"

printf 'idle_timout = 3min\n' > "$work/bad.conf"
is "an unknown key names file, line and what was meant" \
  "$("$hearthd" -c "$work/bad.conf" --check 2>&1 || true)" \
  "hearthd: $work/bad.conf:1: unknown key \"idle_timout\" (did you mean idle_timeout?)"
is "a bad value exits with EX_CONFIG" \
  "$("$hearthd" -o max_agents=many --check >/dev/null 2>&1 && echo 0 || echo $?)" 78
exit $status
