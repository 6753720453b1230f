// SPDX-License-Identifier: MIT
/*
 * A model endpoint without a model, for tests with real agents: OpenAI chat
 * completions (streamed or not, with tools) on 127.0.0.1, no dependencies.
 *
 *   node stub_model.mjs [PORT]     0 or none: any free port
 *
 * Prints "listening on PORT" once it serves. What it answers is decided by
 * the last line of the last user message that is one of these:
 *
 *   say N words [every M ms]   "w1 w2 … wN", one word per delta
 *   write /abs/FILE with TEXT  calls the write tool that the agent offers
 *   run COMMAND                calls the shell tool that the agent offers
 *   sleep N                    "sleeping ", N seconds of silence, "awake"
 *
 * else it echoes the message. After a tool's result it says "done: RESULT". A
 * request that offers no tools is the agent's own business (a title, a
 * summary) and is answered "stub". It knows nothing of agents but the usual
 * names of their tools' parameters.
 *
 * For every other request it prints "asked " and what users and assistants
 * have said in it, as one JSON array of "role: text".
 */
import http from 'node:http';

const WORD_MS = 5;
const WRITE_TOOLS = ['write_file', 'write', 'Write', 'create_file'];
const SHELL_TOOLS = ['run_shell_command', 'bash', 'Bash', 'shell'];
const PATH_KEYS = ['file_path', 'filePath', 'absolute_path', 'path'];
const TEXT_KEYS = ['content', 'contents', 'text'];

const after = ms => new Promise(wake => setTimeout(wake, ms));

function textOf(content) {
	if (typeof content === 'string')
		return content;
	return (content ?? []).map(part => part.text ?? '').join('\n');
}

const scripts = [
	[/^say (\d+) words?(?: every (\d+) ?ms)?\.?$/i, (m) => ({
		words: Array.from({ length: Number(m[1]) }, (_, i) =>
			(i > 0 ? ' ' : '') + 'w' + (i + 1)),
		every: Number(m[2] ?? WORD_MS),
	})],
	[/^write (\/\S+) with (.+)$/i, (m) => ({ write: m[1], text: m[2] })],
	[/^run (.+)$/i, (m) => ({ run: m[1] })],
	[/^sleep ([\d.]+)\.?$/i, (m) => ({
		words: ['sleeping ', 'awake'], every: Number(m[1]) * 1000,
	})],
];

/* What to do for the text of a user message. */
function understand(text) {
	for (const line of text.split('\n').reverse())
		for (const [pattern, make] of scripts) {
			const match = pattern.exec(line.trim());

			if (match)
				return make(match);
		}
	return { words: [text], every: 0 };
}

/* The offered tool of one of the names and its parameters, or nothing. */
function offered(tools, names) {
	const tool = tools.map(t => t.function).find(f =>
		f && names.includes(f.name));

	return tool && { name: tool.name,
		keys: Object.keys(tool.parameters?.properties ?? {}),
		required: tool.parameters?.required ?? [] };
}

function callFor(script, tools) {
	const write = script.write && offered(tools, WRITE_TOOLS);
	const shell = script.run && offered(tools, SHELL_TOOLS);
	const args = {};

	if (write) {
		args[PATH_KEYS.find(k => write.keys.includes(k)) ?? 'path'] =
			script.write;
		args[TEXT_KEYS.find(k => write.keys.includes(k)) ?? 'content'] =
			script.text + '\n';
	} else if (shell) {
		args.command = script.run;
		if (shell.required.includes('description'))
			args.description = 'as asked';
		if (shell.required.includes('is_background'))
			args.is_background = false;
	} else {
		return undefined;
	}
	return { name: (write ?? shell).name, args: JSON.stringify(args) };
}

/* { words, every } to say or { call } to make. */
function decide(request) {
	const tools = request.tools ?? [];
	const messages = request.messages ?? [];
	const last = messages.at(-1);
	const user = messages.findLast(m => m.role === 'user');
	const script = understand(textOf(user?.content));

	if (last?.role === 'tool')
		return { words: ['done: ' + textOf(last.content)], every: 0 };
	if (tools.length === 0)
		return { words: ['stub'], every: 0 };
	if (script.words)
		return script;
	return { call: callFor(script, tools) ??
		undefined, words: ['no tool for that'], every: 0 };
}

/* So that a test can see what an agent remembers. */
function tell(request) {
	if ((request.tools ?? []).length > 0)
		console.log('asked ' + JSON.stringify((request.messages ?? [])
			.filter(m => m.role === 'user' || m.role === 'assistant')
			.map(m => m.role + ': ' + textOf(m.content))));
}

let served = 0;

function toolCalls(call, id) {
	return [{ index: 0, id: 'call_' + id, type: 'function',
		function: { name: call.name, arguments: call.args } }];
}

async function stream(request, response, answer, id) {
	const base = { id: 'stub-' + id, object: 'chat.completion.chunk',
		created: Math.floor(Date.now() / 1000), model: request.model };
	const send = (delta, finish_reason = null, more = {}) =>
		response.write('data: ' + JSON.stringify({ ...base,
			choices: [{ index: 0, delta, finish_reason }], ...more }) +
			'\n\n');
	const usage = { prompt_tokens: 10, completion_tokens: 5,
		total_tokens: 15 };

	response.writeHead(200, { 'content-type': 'text/event-stream' });
	send({ role: 'assistant', content: '' });
	if (answer.call) {
		send({ tool_calls: toolCalls(answer.call, id) });
	} else {
		for (const [i, word] of answer.words.entries()) {
			if (i > 0)
				await after(answer.every);
			if (response.destroyed)
				return;
			send({ content: word });
		}
	}
	send({}, answer.call ? 'tool_calls' : 'stop', { usage });
	response.end('data: [DONE]\n\n');
}

async function whole(request, response, answer, id) {
	const message = { role: 'assistant',
		content: answer.call ? null : answer.words.join('') };

	if (answer.call)
		message.tool_calls = toolCalls(answer.call, id);
	else
		await after(answer.every * (answer.words.length - 1));
	response.writeHead(200, { 'content-type': 'application/json' });
	response.end(JSON.stringify({ id: 'stub-' + id,
		object: 'chat.completion', created: Math.floor(Date.now() / 1000),
		model: request.model, choices: [{ index: 0, message,
			finish_reason: answer.call ? 'tool_calls' : 'stop' }],
		usage: { prompt_tokens: 10, completion_tokens: 5,
			total_tokens: 15 } }));
}

function refuse(response, status, message) {
	response.writeHead(status, { 'content-type': 'application/json' });
	response.end(JSON.stringify({ error: { message } }));
}

async function onRequest(request, response) {
	let body = '';

	for await (const piece of request.setEncoding('utf8'))
		body += piece;
	if (request.method === 'GET' && request.url.endsWith('/models')) {
		response.writeHead(200, { 'content-type': 'application/json' });
		response.end('{"object":"list","data":[{"id":"stub-model",' +
			'"object":"model","owned_by":"stub"}]}');
	} else if (!request.url.endsWith('/chat/completions')) {
		refuse(response, 404, 'only chat completions are served here');
	} else {
		const asked = JSON.parse(body);

		tell(asked);
		await (asked.stream ? stream : whole)(asked, response,
			decide(asked), ++served);
	}
}

const server = http.createServer((request, response) =>
	onRequest(request, response).catch(error =>
		response.headersSent ? response.destroy() :
			refuse(response, 400, String(error))));

server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () =>
	console.log('listening on ' + server.address().port));
