#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Turns .sql files into one C file on stdout:
#
#	embed.sh NAME FILE.sql...
#
# gives `const struct sql_text NAME[]`, in the order of the file names, each
# entry with the file's name (without folder and .sql) and its whole text; the
# last entry has NULLs. The struct stands in sql/statement.h. Plain sh and awk,
# so that nothing but POSIX is needed to build.
set -eu

if [ $# -lt 2 ]; then
	echo "usage: embed.sh NAME FILE.sql..." >&2
	exit 64
fi
array=$1
shift

printf '/* Made by sql/embed.sh: edit the .sql files instead. */\n'
printf '#include <stddef.h>\n\n#include "sql/statement.h"\n\n'
printf 'const struct sql_text %s[] = {\n' "$array"
for file in $(printf '%s\n' "$@" | awk -F/ '{ print $NF "\t" $0 }' |
    LC_ALL=C sort | cut -f 2); do
	name=${file##*/}
	printf '\t{ "%s",\n' "${name%.sql}"
	sed 's/\\/\\\\/g; s/"/\\"/g; s/?/\\?/g; s/^/\t  "/; s/$/\\n"/' "$file"
	printf '\t},\n'
done
printf '\t{ NULL, NULL }\n};\n'
