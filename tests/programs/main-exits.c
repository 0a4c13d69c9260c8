/* SPDX-License-Identifier: MIT */
/* main calls pthread_exit: its cleanup handlers and destructors run, it can be joined, the other
 * threads go on, and the last of them to end ends the process with status 0, atexit handlers and
 * stdio included. pthread_exit(3) */
#include "t.h"

static pthread_t main_thread;
static pthread_key_t key;

static void note(void *arg)
{
	say("%s", (char *)arg);
}

static void at_exit(void)
{
	say("atexit");
}

static void *joins_main(void *arg)
{
	void *r;

	OK(pthread_join(main_thread, &r));
	say("main's value: %s", (char *)r);
	for (int i = 0; i < 20; i++)
		usleep(1000); /* alone, and still going */
	say("last thread ends");
	printf("buffered line\n");
	return arg;
}

static void *sleeper(void *arg)
{
	usleep(20000);
	return arg;
}

int main(void)
{
	main_thread = pthread_self();
	OK(pthread_key_create(&key, note));
	OK(pthread_setspecific(key, "main's destructor"));
	atexit(at_exit);
	for (int i = 0; i < 20; i++)
		OK(pthread_detach(start(sleeper, NULL)));
	start(joins_main, NULL);
	pthread_cleanup_push(note, "main's cleanup handler");
	pthread_exit("from main");
	pthread_cleanup_pop(0);
	return 7;
}
