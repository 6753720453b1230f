#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The places that README.md names as `file:function` are there.
set -eu

src=${srcdir:-$(dirname "$0")/..}
# shellcheck disable=SC2016
places=$(sed -n 's/^[1-8]\. `\([^`:]*:[^`]*\)`.*/\1/p' "$src/README.md")
n=0
echo "1..9"
for place in $places; do
  n=$((n + 1))
  file=${place%%:*} function=${place#*:}
  case $file in
  *.sql) pattern="function $function(" ;;
  *) pattern="^$function(" ;;
  esac
  if grep -q "$pattern" "$src/$file"; then
    echo "ok $n - $place"
  else
    echo "not ok $n - $place is not there"
  fi
done
if [ $n = 8 ]; then echo "ok 9 - eight of them"; else echo "not ok 9 - $n instead of eight"; fi
