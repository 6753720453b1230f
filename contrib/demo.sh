#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first run: hearthd with its own PostgreSQL, the demo agent, a scratch
# repository. Two prompts in one chat (the second finds a warm agent), a
# SIGKILL, a third prompt that recovers, then what an admin sees. Everything
# lies in a temporary folder and is gone at the end. HEARTH_BUILD names the
# build folder; without it the installed programs are used.
set -eu

if [ -n "${HEARTH_BUILD:-}" ]; then
  PATH=$(cd "$HEARTH_BUILD" && pwd):$PATH
fi
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -z "$pgbin" ] || PATH=$PATH:$pgbin

bold() { if [ -t 1 ]; then printf '\n\033[1m==> %s\033[0m\n' "$*"; else printf '\n==> %s\n' "$*"; fi; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/hearth-demo.XXXXXX")
chmod 0711 "$work"
state=$work/state repo=$work/repo daemon=

finish() {
  status=$?
  trap - EXIT INT TERM
  if [ -n "$daemon" ] && kill -TERM "$daemon" 2>/dev/null; then
    wait "$daemon" 2>/dev/null || true
  fi
  [ $status = 0 ] || { echo "--- hearthd's log:"; tail -n 40 "$work/hearthd.log"; } >&2 2>/dev/null || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

HEARTH_DATABASE="host=$state/run dbname=hearth user=hearth"
export HEARTH_DATABASE
sql() { psql -X -q -v ON_ERROR_STOP=1 "$HEARTH_DATABASE" "$@"; }
value() { sql -At -c "$1"; }

# until_true SECONDS SQL
until_true() {
  i=$(($1 * 10))
  while [ "$(value "$2" 2>/dev/null)" != t ]; do
    i=$((i - 1))
    [ $i -gt 0 ] || fail "waited in vain for: $2"
    kill -0 "$daemon" 2>/dev/null || fail "hearthd ended"
    sleep 0.1
  done
}

# ask PROMPT: a turn in the chat, its streamed answer on the terminal
ask() {
  echo "you:   $1"
  if [ -z "${chat:-}" ]; then
    hearth run -a demo -p "$repo" "$1" 2> "$work/run.err" || { cat "$work/run.err" >&2; fail "the turn failed"; }
    chat=$(value "select chat_id from hearth.turns order by id desc limit 1")
  else
    hearth run -a demo --chat "$chat" "$1" 2> "$work/run.err" || { cat "$work/run.err" >&2; fail "the turn failed"; }
  fi
}

began() {
  value "select round(extract(epoch from first_event_at - queued_at) * 1000, 1)
    from hearth.turns where chat_id = '$chat' order by id offset $1 limit 1"
}

bold "a scratch git repository"
mkdir "$repo"
chmod 0755 "$repo"
git -C "$repo" init -q -b main
printf 'The hearth is cold.\n' > "$repo/README"
git -C "$repo" add README
git -C "$repo" -c user.name=Demo -c user.email=demo@localhost commit -q -m 'First light'
git -C "$repo" log --oneline --stat | cat

bold "hearthd, with a PostgreSQL of its own (only a socket in $state)"
hearthd -o "state_dir=$state" -o node_name=demo 2> "$work/hearthd.log" &
daemon=$!
until_true 60 "select count(*) > 0 from hearth.nodes where heartbeat_at is not null"
cat "$work/hearthd.log"
value "select hearth.add_project('$repo', 'demo')" > /dev/null

bold "first prompt: a cold start"
ask "write hello.txt with The fire is lit."
bold "second prompt, same chat: the same process answers, warm"
ask "replace cold with warm in README"
value "select format('first event after %s ms cold, %s ms warm: %s times faster', $(began 0), $(began 1),
  round($(began 0) / $(began 1), 1))"
[ "$(value "select warm from hearth.turns where chat_id = '$chat' order by id offset 1 limit 1")" = t ] ||
  fail "the second turn was not warm"

pid=$(value "select pid from hearth.agent_sessions where chat_id = '$chat'")
bold "kill -9 $pid: the agent dies"
kill -9 "$pid"
until_true 10 "select status = 'crashed' from hearth.agent_sessions where chat_id = '$chat'"
sql -c "select status, end_reason, last_error from hearth.agent_sessions where chat_id = '$chat'"
bold "third prompt: a new child, without anyone's help"
ask "append The cat is asleep. to README"

bold "what an admin sees"
sql -c 'select * from hearth.pool' \
  -c 'select id, agent, pid, spawn_ms, initialize_ms, session_ms, term_signal, end_reason from hearth.executions order by id' \
  -c 'select id, status, warm, stop_reason, ended_at - queued_at as took from hearth.turns order by id' \
  -c "select file_path, operation, agent, turn_id from hearth.pending_changes where status = 'pending' order by file_path"
bold "and the changes, ready for review"
value "select diff from hearth.pending_changes where status = 'pending' order by file_path"

bold "SIGTERM: everything is stopped"
kill -TERM "$daemon"
wait "$daemon" || fail "hearthd did not stop cleanly"
daemon=
# the bracket keeps pgrep from finding this very shell
left=$(pgrep -f "[h]earth-demo.${work##*.}/" || true)
[ -z "$left" ] || fail "processes are left: $left"
echo "nothing is left running."
