/* SPDX-License-Identifier: MIT */
/*
 * See screen.h. The cursor rests below what was drawn, so that a complaint, or
 * a shell's prompt at the end, stands there. Signals do not come from keys
 * while it is open, so that ^C and ^Z cannot leave it half drawn; those from
 * outside end it.
 */
#include "cli/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define OPEN "\033[?25l\033[2J"
#define CLOSE "\033[?25h"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define CTRL_C 3
#define CTRL_D 4

static struct termios before;
static bool has_keys;
static sigset_t unblocked;
static volatile sig_atomic_t is_to_end;

static void
on_end(int sig)
{
	(void)sig;
	is_to_end = 1;
}

static void
on_resize(int sig)
{
	(void)sig;
}

static void
catch_signals(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction end = { .sa_handler = on_end };
	const struct sigaction resize = { .sa_handler = on_resize };
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGWINCH);
	sigaction(SIGWINCH, &resize, NULL);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		sigaddset(&mask, ends[i]);
		sigaction(ends[i], &end, NULL);
	}
	/* they come while screen_key() waits, and then alone */
	sigprocmask(SIG_BLOCK, &mask, &unblocked);
}

void
screen_open(void)
{
	struct termios t;

	catch_signals();
	has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
	if (has_keys) {
		t = before;
		t.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
	}
	fputs(OPEN, stdout);
	fflush(stdout);
}

void
screen_close(void)
{
	fputs(CLOSE, stdout);
	fflush(stdout);
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void
get_size(int *width, int *height)
{
	struct winsize size;

	*width = 80;
	*height = 24;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1)
		return;
	if (size.ws_col > 0)
		*width = size.ws_col;
	if (size.ws_row > 0)
		*height = size.ws_row;
}

int
screen_height(void)
{
	int width, height;

	get_size(&width, &height);
	return height;
}

void
screen_fit(struct buf *b, const char *text, int width, int height)
{
	for (int row = 1; *text != '\0' && row < height; row++) {
		int room = width;

		for (; *text != '\0' && *text != '\n'; text++)
			if ((*text & 0xc0) == 0x80 ? room >= 0 : room-- > 0)
				buf_addc(b, *text);
		buf_adds(b, CLEAR_LINE "\n");
		text += *text == '\n';
	}
	buf_adds(b, CLEAR_BELOW);
}

void
screen_draw(const char *text)
{
	struct buf b = { 0 };
	int width, height;

	get_size(&width, &height);
	screen_fit(&b, text, width, height);
	fputs(HOME, stdout);
	fputs(b.data, stdout);
	fflush(stdout);
	buf_free(&b);
}

int
screen_key(int timeout_ms)
{
	struct pollfd in = { .fd = has_keys ? STDIN_FILENO : -1,
		.events = POLLIN };
	const struct timespec timeout = { timeout_ms / 1000,
		timeout_ms % 1000 * 1000000L };
	unsigned char key;

	if (ppoll(&in, 1, &timeout, &unblocked) <= 0)
		return is_to_end ? -1 : 0;
	if (read(STDIN_FILENO, &key, 1) != 1 || key == CTRL_C ||
	    key == CTRL_D)
		return -1;
	return key;
}
